"""Loops over an index type whose outcome cannot depend on the order of its values, as far as their tree shows.

Each turn of such a loop asserts, writes places of its own value, counts, joins sets, or says always the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from septum.translate.show import said
from septum.translate.tree import (
    Assign,
    Binary,
    Call,
    Checked,
    Const,
    Convert,
    Element,
    Evaluate,
    Expression,
    Field,
    For,
    Function,
    If,
    Jump,
    Load,
    Local,
    Node,
    Pause,
    Return,
    Statement,
    Store,
    parts,
    walk,
)

COMMUTING = ("+", "-", "|", "&", "^")


def depends_on_order(loop: For, function: Function) -> bool:
    """Whether what a loop does may depend on the order of its turns; True where its tree does not show that it does not."""
    inside = list(walk(loop.body))
    body = _Body(loop, inside, function)
    called = [node.callee for node in inside if isinstance(node, Call)]
    if any(isinstance(node, Pause) for node in inside) or any(callee.changes for callee in called):
        return True
    return bool(called and body.stores) or any(body.dependent(loop.body))


class _Body:
    """The body of one loop: what each turn makes anew, what belongs to its value, and what all turns gather."""

    def __init__(self, loop: For, inside: Sequence[Node], function: Function) -> None:
        self._variable = loop.name
        named = [node for node in walk(function.body) if isinstance(node, Local | Assign | For)]
        made = dict(_made_in_turns(loop.body, named))
        self._fresh = set(made)
        self._aliases = {name for name, value in made.items() if self._is_element(value)}
        self.stores = [node.place for node in inside if isinstance(node, Store)]
        own = [place for place in self.stores if self._is_own(place)]
        self._gathered = {said(place) for place in self.stores if place not in own}
        self._gathered |= {node.name for node in inside if isinstance(node, Assign)} - self._fresh
        self._own_fields = {name for place in own for name in _fields(place)}
        self._writes = bool(self._gathered or own)
        self._said: dict[str, int] = {}

    def dependent(self, body: Iterable[Statement]) -> Iterator[bool]:
        """For each statement whether it may make the order matter."""
        for node in body:
            match node:
                case If(test=test):
                    yield self._reads_gathered(test)
                    yield from self.dependent([*node.body, *node.otherwise])
                case For(first=first, last=last):
                    yield self._reads_gathered(first) or self._reads_gathered(last)
                    yield from self.dependent(node.body)
                case Assign(name=name, value=value):
                    yield self._assigns(name, name in self._fresh, value)
                case Store(place=place, value=value):
                    yield self._assigns(said(place), self._is_own(place), value)
                case Return(value=value):
                    yield self._writes or self._says_another("return", value)
                case Evaluate(value=value):
                    yield value is not None and self._reads_gathered(value)
                case _:
                    yield not (isinstance(node, Jump) and node.to == "continue")

    def _assigns(self, name: str, own: bool, value: Expression) -> bool:
        grown = _grown_by(name, value)
        if any(self._reads_gathered(part) for part in grown or [value]):
            return True
        return not (grown or own) and self._says_another(name, value)

    def _says_another(self, name: str, value: Expression | None) -> bool:
        """Whether something else than one and the same constant is given to a name."""
        value = _plain(value) if value else None
        return not isinstance(value, Const) or self._said.setdefault(name, value.number) != value.number

    def _is_element(self, node: Node) -> bool:
        place = node.place if isinstance(node, Load) else node
        index = _plain(place.index) if isinstance(place, Element) else None
        return isinstance(index, Local) and index.name == self._variable

    def _is_own(self, place: Node) -> bool:
        """Whether a place belongs to the value of this turn: it is indexed by it, or stands in such a place."""
        if any(self._is_element(part) for part in walk(place)):
            return True
        root = place
        while isinstance(root, Field | Element):
            root = root.base
        return root is not place and isinstance(root, Local) and root.name in self._aliases

    def _reads_gathered(self, tree: Node) -> bool:
        """Whether an expression reads what turns write: what all gather, or a field that others may have written of their own."""
        for place in _places(tree):
            if any(said(part) in self._gathered for part in walk(place) if isinstance(part, Local | Field | Element)):
                return True
            if not self._is_own(place) and self._own_fields & _fields(place):
                return True
        return False


def _grown_by(name: str, value: Expression) -> list[Expression]:
    """What is added in `found = u16(found + x)`."""
    inner, added, operators = _plain(value), list[Expression](), set[str]()
    while isinstance(inner, Binary) and inner.operator in COMMUTING:
        added.append(inner.right)
        operators.add(inner.operator)
        inner = _plain(inner.left)
    alike = len(operators) == 1 or operators == {"+", "-"}
    return added if alike and said(inner) == name else []


def _plain(node: Expression) -> Expression:
    """A value without conversions and checks."""
    while isinstance(node, Convert | Checked):
        node = node.value
    return node


def _places(tree: Node) -> Iterator[Node]:
    """The places that an expression reads, each whole, and those in their indexes."""
    if isinstance(tree, Local | Field | Element):
        yield tree
        while isinstance(tree, Field | Element):
            if isinstance(tree, Element):
                yield from _places(tree.index)
            tree = tree.base
    else:
        for part in parts(tree):
            yield from _places(part)


def _fields(place: Node) -> set[str]:
    """The names of the fields on the way to a place."""
    return {node.name for node in walk(place) if isinstance(node, Field)}


def _made_in_turns(body: Sequence[Statement], named: Sequence[Local | Assign | For]) -> Iterator[tuple[str, Expression]]:
    """The names that are given a value before anything else is done with them, in every turn; and the value."""
    for place, node in enumerate(body):
        blocks = [block for block in parts(node) if isinstance(block, Statement)]
        if isinstance(node, If):
            yield from _made_in_turns(node.body, named)
            yield from _made_in_turns(node.otherwise, named)
        elif blocks:
            yield from _made_in_turns(blocks, named)  # type: ignore[arg-type]
        if isinstance(node, Assign):
            later = set(walk(body[place:]))
            read_first = any(isinstance(part, Local) and part.name == node.name for part in walk(node.value))
            if not read_first and all(one in later for one in named if one.name == node.name):
                yield node.name, node.value
