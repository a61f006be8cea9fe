"""What a cell's source is turned into before it runs."""

import ast

from ..answers.doubts import bound_in
from .beside import is_beside


def _word(node):
    """Return whether an argument is a literal that may be a name."""
    value = getattr(node, "value", None)
    return isinstance(node, ast.Constant) and isinstance(value, str) and value.isidentifier()


def _uses(node, name):
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


class Rewriter(ast.NodeTransformer):
    """Judges ``FINAL_VAR`` by the call as written, and guards our names in an LM's cell.

    ``FINAL_VAR("name")`` names a variable, or is a word; any other argument is the value, as is
    ``FINAL_VAR(value="name")``. A small LM likes to write ``context = "..."`` with a placeholder,
    or a stand-in ``def llm_query(...)``; such statements are dropped and noticed.
    """

    def __init__(self, guest):
        self._guest = guest
        self._local = 0

    def visit_Module(self, node):
        if is_beside(self._guest.shell):
            return node
        self._guest.bound.update(bound_in(node))
        return self.generic_visit(node)

    def visit_Call(self, node):
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != "FINAL_VAR":
            return node
        evidence = [k for k in node.keywords if k.arg == "evidence"]
        given = [k for k in node.keywords if k.arg and k.arg != "evidence"]
        values = node.args + [k.value for k in given]
        if len(values) != 1:
            return node
        function: ast.expr = node.func
        if _word(values[0]) and not any(k.arg == "value" for k in given):
            function = ast.Attribute(value=node.func, attr="named", ctx=ast.Load())
        # By position: models write var_name= and whatever else they remember.
        call = ast.Call(func=function, args=values, keywords=evidence)
        return ast.fix_missing_locations(ast.copy_location(call, node))

    def visit_FunctionDef(self, node):
        guarded = node.name in self._guest.names and not self._guest.yields(node.name)
        if not self._local and self._guest.guards_names and guarded:
            self._guest.notice(
                "Line %d: the definition of `%s` was ignored: it is there already. Call it."
                % (node.lineno, node.name)
            )
            return ast.copy_location(ast.Pass(), node)
        return self._visit_local(node)

    def _visit_local(self, node):
        self._local += 1
        self.generic_visit(node)
        self._local -= 1
        return node

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_ClassDef = visit_Lambda = _visit_local

    def visit_Assign(self, node):
        self.generic_visit(node)
        if self._local or not self._guest.guards_names or _uses(node.value, "context"):
            return node
        kept = [t for t in node.targets if not (isinstance(t, ast.Name) and t.id == "context")]
        if len(kept) == len(node.targets):
            return node
        self._guest.notice(
            "Line %d: the assignment to `context` was ignored: `context` already holds the real "
            "input. Use it as it is." % node.lineno
        )
        if kept:
            node.targets = kept
            return node
        return ast.copy_location(ast.Pass(), node)

    def visit_AnnAssign(self, node):
        if node.value is None:
            return node
        self.generic_visit(node)
        plain_form = ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)
        return (
            node
            if self.visit_Assign(plain_form) is plain_form
            else ast.copy_location(ast.Pass(), node)
        )
