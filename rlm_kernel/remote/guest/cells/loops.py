"""Finds the loops that ask a sub-LM about each item, which can be asked about all at once.

A loop is one where its prompts can be told before its first call: they are computed of the items
and of names that its body does not change, and each item is asked about once. By syntax alone; a
loop that may be left early, and all that is not understood, runs as it is written.
"""

import ast
import contextlib
import copy

from .pure import Acts, bound, names_read

HELPER, ASKED = "_rlm_ahead", "_rlm_asked"
"""The names in the cells: what asks ahead, and what has the reply to an item."""
_ITEM = "_rlm_items%d"
_WRAPS = ("enumerate", "zip", "reversed")
_HARMLESS = frozenset(
    ("print", "display", "len", "str", "int", "float", "bool", "repr", "round", "sum", "min",
     "max", "sorted", "list", "dict", "set", "tuple", "any", "all", "isinstance", "type", "range",
     "enumerate", "zip", "abs")
)  # fmt: skip
"""Functions that change nothing which a prompt is computed of."""
_PASSES = (
    ast.Attribute, ast.Subscript, ast.BinOp, ast.JoinedStr, ast.FormattedValue, ast.Tuple,
    ast.List, ast.Dict, ast.Call, ast.keyword, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr,
)  # fmt: skip
"""In these all parts are evaluated, each once."""
_LEAVES = (
    ast.Break, ast.Return, ast.Raise, ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr,
    ast.Global, ast.Nonlocal, ast.Delete, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef,
    ast.Lambda, ast.While, ast.AsyncFor, ast.AsyncWith, ast.With, ast.Import, ast.ImportFrom,
    ast.Starred,
)  # fmt: skip
"""A loop with one of these is not understood."""


class Loops(ast.NodeTransformer):
    """Rewrites them in a cell: prompts are given to the guest before they are asked in turn."""

    def visit_Module(self, node):
        """Rewrite nothing where the cell has an ``llm_query`` of its own."""
        stored = (n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == "llm_query")
        shadowed = any(not isinstance(n.ctx, ast.Load) for n in stored) or any(
            getattr(n, "arg", None) == "llm_query" or getattr(n, "name", None) == "llm_query"
            for n in ast.walk(node)
        )
        return node if shadowed else self.generic_visit(node)

    def visit_ClassDef(self, node):
        return node  # names of its body are not seen by functions in it

    def visit_For(self, node):
        self.generic_visit(node)
        try:
            return _rewritten_for(node)
        except Acts:
            return node

    def visit_ListComp(self, node):
        self.generic_visit(node)
        try:
            return _rewritten_comprehension(node)
        except Acts:
            return node

    visit_SetComp = visit_DictComp = visit_ListComp


def _rewritten_for(loop):
    [call] = _calls(loop) or [None]
    if call is None or loop.type_comment or any(map(_leaves, ast.walk(loop))):
        raise Acts("not one call that is always reached")
    targets = bound(loop.target)
    known: dict[str, ast.expr] = {}
    wanted: list[ast.expr] = []
    _follow(loop.body, call, known, wanted)
    prompt = _with(known, _prompt(call))
    conditions = [_with(known, condition) for condition in wanted]
    if conditions:
        test = conditions[0] if len(conditions) == 1 else ast.BoolOp(ast.And(), conditions)
        prompt = ast.IfExp(test, prompt, ast.Constant(None))
    read = names_read(prompt)
    bound_anew, changed = _changed(loop.body, call)
    if (read - set(targets)) & bound_anew or (read | set(targets)) & changed:
        raise Acts("it changes what its prompts are computed of")
    if changed & {node.id for node in ast.walk(loop.iter) if isinstance(node, ast.Name)}:
        raise Acts("it changes what it goes through")
    sources, iterated = _sources(loop.iter)
    part = ast.comprehension(loop.target, iterated, [], 0)
    loop.iter = _ahead(call, read - set(targets), sources, [part], targets, prompt)
    loop.target = _both(targets)
    _ask_in_place(call)
    return ast.fix_missing_locations(loop)


def _rewritten_comprehension(node):
    values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    [call] = _calls(node) or [None]
    if call is None or not any(_reaches(value, call) for value in values):
        raise Acts("not one call that is always reached")
    if any(map(_leaves, ast.walk(node))) or any(part.is_async for part in node.generators):
        raise Acts("not understood")
    prompt = _prompt(call)
    first, *others = node.generators
    targets = [name for part in node.generators for name in bound(part.target)]
    sources, iterated = _sources(first.iter)
    parts = [ast.comprehension(first.target, iterated, first.ifs, 0), *others]
    read = names_read(prompt)
    for tested in [*(t for part in parts for t in part.ifs), *(part.iter for part in others)]:
        read |= names_read(tested)
    iterator = _ahead(call, read - set(targets), sources, parts, targets, prompt)
    node.generators = [ast.comprehension(_both(targets), iterator, [], 0)]
    _ask_in_place(call)
    return ast.fix_missing_locations(node)


# -- what a loop does -----------------------------------------------------------------------------
def _calls(node):
    """Return the only call of ``llm_query`` in a loop; none where there are more, or other uses."""
    uses = [n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == "llm_query"]
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call) and n.func in uses]
    return calls if len(calls) == len(uses) == 1 else []


def _prompt(call):
    """Return the prompt of a call that has no more than that and a model's name."""
    named = all(k.arg == "model" and isinstance(k.value, ast.Constant) for k in call.keywords)
    if len(call.args) != 1 or len(call.keywords) > 1 or not named:
        raise Acts("a call with more than a prompt")
    return call.args[0]


def _leaves(node):
    return isinstance(node, _LEAVES)


def _reaches(node, call):
    """Return whether a statement or an expression evaluates the call, once and in any case."""
    if node is call:
        return True
    inner = (n for n in ast.iter_child_nodes(node) if any(m is call for m in ast.walk(n)))
    return isinstance(node, _PASSES) and any(_reaches(part, call) for part in inner)


def _follow(body, call, known, wanted):
    """Go on to the call: note the expressions of names that are ``known`` there, and the conditions
    under which it is reached. Raises ``Acts`` where that cannot be told."""
    for statement in body:
        if not any(node is call for node in ast.walk(statement)):
            _pass_over(statement, known, wanted)
        elif isinstance(statement, ast.Try):
            return _follow(statement.body, call, known, wanted)
        elif isinstance(statement, ast.If):
            inside = any(node is call for part in statement.body for node in ast.walk(part))
            test = statement.test if inside else ast.UnaryOp(ast.Not(), statement.test)
            wanted.append(_with(known, test))
            return _follow(statement.body if inside else statement.orelse, call, known, wanted)
        elif _reaches(statement, call):
            return None
        else:
            raise Acts("a call that is reached in some cases")
    raise Acts("a call in a handler")


def _pass_over(statement, known, wanted):
    """Note what a statement before the call means for it."""
    one = isinstance(statement, ast.Assign) and len(statement.targets) == 1
    if one and isinstance(statement.targets[0], ast.Name):
        name, value = statement.targets[0].id, _with(known, statement.value)
        known.pop(name, None)
        with contextlib.suppress(Acts):
            names_read(value)
            known[name] = value
    elif isinstance(statement, ast.If) and not statement.orelse:
        if [type(inner) for inner in statement.body] == [ast.Continue]:
            wanted.append(ast.UnaryOp(ast.Not(), _with(known, statement.test)))
        elif any(isinstance(inner, ast.Continue) for inner in ast.walk(statement)):
            raise Acts("a condition that is not understood")
        elif _stores(statement):
            raise Acts("a name that has a value in some cases")
    elif any(isinstance(inner, ast.Continue) for inner in ast.walk(statement)):
        raise Acts("a condition that is not understood")
    elif _stores(statement) & set(known):
        raise Acts("a name that is changed after it was known")


def _stores(node):
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and _is_store(n)}


def _is_store(node):
    return not isinstance(node.ctx, ast.Load)


def _changed(body, call):
    """Return the names that a body binds, and those whose objects it may change. Raises ``Acts``
    for calls that could change anything."""
    bound_anew, changed = set(), set()
    for node in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(node, ast.Name) and _is_store(node):
            bound_anew.add(node.id)
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and _is_store(node):
            changed.add(_base(node))
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound_anew.add(node.name)
        elif isinstance(node, ast.Call) and node is not call:
            changed |= _changed_by(node)
    return bound_anew, changed


def _changed_by(call):
    try:
        names_read(ast.Call(call.func, [], []))
    except Acts:
        if isinstance(call.func, ast.Attribute):
            return {_base(call.func)}
        if not isinstance(call.func, ast.Name) or call.func.id not in _HARMLESS:
            raise
    return set()


def _base(node):
    """Return the name of the object that an attribute or an item belongs to, at last."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _base(node.func)
    return node.id if isinstance(node, ast.Name) else ""


# -- how it is written anew -----------------------------------------------------------------------
class _Known(ast.NodeTransformer):
    def __init__(self, known):
        self._known = known

    def visit_Name(self, node):
        return copy.deepcopy(self._known.get(node.id, node))


def _with(known, expression):
    """Return a copy of an expression, with the expressions of known names in their place."""
    return _Known(known).visit(copy.deepcopy(expression))


def _sources(iterated):
    """Return what is gone through, and the expression that goes through it by our names."""
    sources = []

    def named(node):
        wraps = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if wraps and node.func.id in _WRAPS and node.args and not _starred(node):
            first = node.args if node.func.id == "zip" else node.args[:1]
            rest = node.args[len(first) :]
            return ast.Call(node.func, [*map(named, first), *rest], node.keywords)
        sources.append(node)
        return _name(_ITEM % (len(sources) - 1))

    found = named(iterated)
    for node in ast.walk(found):
        if isinstance(node, ast.Call):
            names_read(node)
    return sources, found


def _starred(call):
    return any(isinstance(argument, ast.Starred) for argument in call.args)


def _ahead(call, read, sources, parts, targets, prompt):
    """Return ``_rlm_ahead(llm_query, model, lambda: {names}, [sources], lambda items: pairs)``."""
    own = {_ITEM % number for number in range(len(sources))}
    wraps = [n.func.id for n in ast.walk(parts[0].iter) if isinstance(n, ast.Call)
             and isinstance(n.func, ast.Name)]  # fmt: skip
    used = sorted((read | set(wraps)) - own)
    model = next((keyword.value for keyword in call.keywords), ast.Constant(None))
    names = ast.Dict([ast.Constant(name) for name in used], [_name(name) for name in used])
    pair = ast.Tuple([_tuple(targets, ast.Load()), _function([], prompt)], ast.Load())
    pairs = ast.GeneratorExp(pair, copy.deepcopy(parts))
    given = [
        _name("llm_query"), model, _function([], names), ast.List(sources, ast.Load()),
        _function(sorted(own), pairs),
    ]  # fmt: skip
    return ast.copy_location(ast.Call(_name(HELPER), given, []), call)


def _ask_in_place(call):
    call.func = ast.copy_location(_name(ASKED), call.func)


def _name(name, context=None):
    return ast.Name(name, context or ast.Load())


def _tuple(names, context):
    return ast.Tuple([ast.Name(name, context) for name in names], context)


def _both(targets):
    """Return the target that takes an item's names and its reply."""
    return ast.Tuple([_tuple(targets, ast.Store()), _name(ASKED, ast.Store())], ast.Store())


def _function(parameters, body):
    arguments = [ast.arg(name) for name in parameters]
    return ast.Lambda(ast.arguments([], arguments, None, [], [], None, []), body)
