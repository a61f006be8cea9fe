"""What a cell's source is turned into before it runs."""

import ast


def _uses(node, name):
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


class Rewriter(ast.NodeTransformer):
    """Judges ``FINAL_VAR`` by the call as written, and guards our names in an LM's cell.

    ``FINAL_VAR("name")`` names a variable, any other argument is the value. A small LM likes to
    write ``context = "..."`` with a placeholder, or a stand-in ``def llm_query(...)``; such
    statements are dropped and noticed.
    """

    def __init__(self, guest):
        self._guest = guest
        self._local = 0

    def visit_Call(self, node):
        self.generic_visit(node)
        values = node.args + [k.value for k in node.keywords if k.arg]
        if not isinstance(node.func, ast.Name) or node.func.id != "FINAL_VAR" or len(values) != 1:
            return node
        function: ast.expr = node.func
        value = getattr(values[0], "value", None)
        if isinstance(values[0], ast.Constant) and isinstance(value, str) and value.isidentifier():
            function = ast.Attribute(value=node.func, attr="named", ctx=ast.Load())
        # By position: models write value=, var_name= and whatever else they remember.
        positional = ast.copy_location(ast.Call(func=function, args=values, keywords=[]), node)
        return ast.fix_missing_locations(positional)

    def visit_FunctionDef(self, node):
        if not self._local and self._guest.guards_names and node.name in self._guest.names:
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
