"""Labels and truth values as people and models write them."""

import json
from collections.abc import Mapping
from typing import Any, Optional

_YES_NO = {"yes": True, "true": True, "no": False, "false": False}


def labels(schema: "Optional[Mapping[str, Any]]") -> "list[str]":
    """Return the labels of a schema whose values are one of several texts; of others none."""
    listed = schema.get("enum") if schema is not None else None
    texts = isinstance(listed, list) and all(isinstance(label, str) for label in listed)
    return list(listed) if texts and listed is not None else []


def spelled(reply: str, schema: "Mapping[str, Any]") -> str:
    """Return the JSON of the label or the truth value that a plain reply is, else the reply.

    A label counts however it is capitalised or quoted, yes and no count as true and false.
    """
    bare = reply.strip().strip("\"'`*.! \n").casefold()
    same = [label for label in labels(schema) if label.strip().casefold() == bare]
    if len(same) == 1:
        return json.dumps(same[0])
    if schema.get("type") == "boolean" and bare in _YES_NO:
        return json.dumps(_YES_NO[bare])
    return reply
