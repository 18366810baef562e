"""Loops over an index type whose outcome cannot depend on the order of its values, as far as their text shows.

Each turn of such a loop asserts, writes places of its own value, counts, joins sets, or says always the same thing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

COMMUTING = (ast.Add, ast.Sub, ast.BitOr, ast.BitAnd, ast.BitXor)


def depends_on_order(loop: ast.For, function: ast.FunctionDef, calls: bool, changes: bool) -> bool:
    """Whether what a loop does may depend on the order of its turns; True where its text does not show that it does not.

    `calls`: it calls routines; `changes`: some that change the state.
    """
    assert isinstance(loop.target, ast.Name)
    body = _Body(loop, loop.target.id, function)
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _walk(loop.body))
    return yields or changes or (calls and body.stores) or any(body.dependent(loop.body))


class _Body:
    """The body of one loop: what each turn makes anew, what belongs to its value, and what all turns gather."""

    def __init__(self, loop: ast.For, variable: str, function: ast.FunctionDef) -> None:
        inside = list(_walk(loop.body))
        self._variable = variable
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        made = dict(_made_in_turns(loop.body, names))
        self._fresh = set(made)
        self._aliases = {name for name, value in made.items() if self._is_element(value)}
        counters = {id(node.target) for node in inside if isinstance(node, ast.For)}
        stores = [node for node in inside if isinstance(getattr(node, "ctx", None), ast.Store) and id(node) not in counters]
        shared = [node for node in stores if not self._is_own(node)]
        self._gathered = {ast.unparse(node) for node in shared} - self._fresh
        places = [node for node in stores if isinstance(node, ast.Attribute | ast.Subscript)]
        self.stores = bool(places)
        self._own_fields = {name for node in places if self._is_own(node) for name in _fields(node)}
        self._writes = bool(self._gathered) or len(shared) < len(stores)
        self._said: dict[str, str] = {}

    def dependent(self, body: Iterable[ast.stmt]) -> Iterator[bool]:
        """For each statement whether it may make the order matter."""
        for node in body:
            if isinstance(node, ast.If | ast.Assert):
                yield self._reads_gathered(node.test)
            if isinstance(node, ast.If):
                yield from self.dependent([*node.body, *node.orelse])
            elif isinstance(node, ast.For):
                yield self._reads_gathered(node.iter)
                yield from self.dependent(node.body)
            elif isinstance(node, ast.Assign):
                yield self._assigns(ast.unparse(node.targets[0]), node.targets[0], node.value)
            elif isinstance(node, ast.AugAssign):
                yield not isinstance(node.op, COMMUTING) or self._reads_gathered(node.value)
            elif isinstance(node, ast.Return):
                yield self._writes or self._says_another("return", node.value)
            elif isinstance(node, ast.Expr):
                yield self._reads_gathered(node.value)
            else:
                yield not isinstance(node, ast.Pass | ast.Continue | ast.Assert)

    def _assigns(self, name: str, target: ast.expr, value: ast.expr) -> bool:
        grown = self._grown_by(name, value)
        if self._reads_gathered(grown or value):
            return True
        return not (grown or name in self._fresh or self._is_own(target)) and self._says_another(name, value)

    def _grown_by(self, name: str, value: ast.expr) -> ast.expr | None:
        """What is added in `found = u16(found + x)`."""
        inner = value.args[0] if isinstance(value, ast.Call) and len(value.args) == 1 else value
        added: ast.expr | None = None
        operators: set[type[ast.operator]] = set()
        while isinstance(inner, ast.BinOp) and isinstance(inner.op, COMMUTING):
            added = ast.BinOp(added, inner.op, inner.right) if added else inner.right
            operators.add(type(inner.op))
            inner = inner.left
        alike = len(operators) == 1 or operators == {ast.Add, ast.Sub}
        return added if alike and ast.unparse(inner) == name else None

    def _says_another(self, name: str, value: ast.expr | None) -> bool:
        """Whether something else than one and the same constant is given to a name."""
        said = ast.unparse(value) if value else ""
        return not isinstance(value, ast.Constant) or self._said.setdefault(name, said) != said

    def _is_element(self, tree: ast.expr) -> bool:
        return isinstance(tree, ast.Subscript) and isinstance(tree.slice, ast.Name) and tree.slice.id == self._variable

    def _is_own(self, target: ast.AST) -> bool:
        """Whether a place belongs to the value of this turn: it is indexed by it, or stands in such a place."""
        if any(isinstance(part, ast.expr) and self._is_element(part) for part in ast.walk(target)):
            return True
        root = target
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        return root is not target and isinstance(root, ast.Name) and root.id in self._aliases

    def _reads_gathered(self, tree: ast.expr) -> bool:
        """Whether an expression reads what turns write: what all gather, or a field that others may have written of their own."""
        for place in _places(tree):
            parts = [node for node in ast.walk(place) if isinstance(node, ast.Name | ast.Attribute | ast.Subscript)]
            if any(ast.unparse(node) in self._gathered for node in parts):
                return True
            if not self._is_own(place) and self._own_fields & _fields(place):
                return True
        return False


def _places(tree: ast.AST) -> Iterator[ast.expr]:
    """The places that an expression reads, each whole, and those in their indexes."""
    if isinstance(tree, ast.Name | ast.Attribute | ast.Subscript):
        yield tree
        while isinstance(tree, ast.Attribute | ast.Subscript):
            if isinstance(tree, ast.Subscript):
                yield from _places(tree.slice)
            tree = tree.value
    else:
        for child in ast.iter_child_nodes(tree):
            yield from _places(child)


def _fields(place: ast.AST) -> set[str]:
    """The names of the fields on the way to a place."""
    return {node.attr for node in ast.walk(place) if isinstance(node, ast.Attribute)}


def _made_in_turns(body: list[ast.stmt], names: list[ast.Name]) -> Iterator[tuple[str, ast.expr]]:
    """The names that are given a value before anything else is done with them, in every turn; and the value."""
    for place, node in enumerate(body):
        for block in (getattr(node, "body", []), getattr(node, "orelse", [])):
            yield from _made_in_turns(block, names)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            later = {id(part) for part in _walk(body[place:])}
            read_first = any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node.value))
            if not read_first and all(id(one) in later for one in names if one.id == name):
                yield name, node.value


def _walk(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        yield from ast.walk(node)
