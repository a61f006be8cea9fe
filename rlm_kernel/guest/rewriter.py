"""What a cell's source is turned into before it runs."""

import ast


def _uses(node, name):
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


class Rewriter(ast.NodeTransformer):
    """Judges ``FINAL_VAR`` by the call as written, and guards ``context`` in an LM's cell.

    ``FINAL_VAR("name")`` names a variable, any other argument is the value. A small LM likes to
    write ``context = "..."`` with a placeholder; that statement is dropped and noticed.
    """

    def __init__(self, guest):
        self._guest = guest
        self._local = 0

    def visit_Call(self, node):
        self.generic_visit(node)
        values = node.args + [k.value for k in node.keywords]
        if (
            isinstance(node.func, ast.Name)
            and node.func.id == "FINAL_VAR"
            and len(values) == 1
            and isinstance(values[0], ast.Constant)
            and isinstance(values[0].value, str)
            and values[0].value.isidentifier()
        ):
            named = ast.Attribute(value=node.func, attr="named", ctx=ast.Load())
            node = ast.copy_location(ast.Call(func=named, args=values, keywords=[]), node)
            ast.fix_missing_locations(node)
        return node

    def _visit_local(self, node):
        self._local += 1
        self.generic_visit(node)
        self._local -= 1
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _visit_local

    def visit_Assign(self, node):
        self.generic_visit(node)
        if self._local or not self._guest.guards_context or _uses(node.value, "context"):
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
        plain_form = ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)
        return (
            node
            if self.visit_Assign(plain_form) is plain_form
            else ast.copy_location(ast.Pass(), node)
        )
