"""Loops over an index type whose outcome cannot depend on the order of its values, as far as their tree shows.

Each turn of such a loop asserts, writes places of its own value, counts, joins sets, or says always the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from septum.translate import tree
from septum.translate.show import said

COMMUTING = ("+", "-", "|", "&", "^")
AROUND = (tree.Convert, tree.Checked)


def depends_on_order(loop: tree.For, function: tree.Function) -> bool:
    """Whether what a loop does may depend on the order of its turns; True where its tree does not show that it does not."""
    inside = list(tree.walk(loop.body))
    body = _Body(loop, inside, function)
    called = [node.callee for node in inside if isinstance(node, tree.Call)]
    if any(isinstance(node, tree.Pause) for node in inside) or any(callee.changes for callee in called):
        return True
    return bool(called and body.stores) or any(body.dependent(loop.body))


class _Body:
    """The body of one loop: what each turn makes anew, what belongs to its value, and what all turns gather."""

    def __init__(self, loop: tree.For, inside: Sequence[tree.Node], function: tree.Function) -> None:
        self._variable = loop.name
        named = [node for node in function.nodes if isinstance(node, tree.Local | tree.Assign | tree.For)]
        made = dict(_made_in_turns(loop.body, named))
        self._fresh = set(made)
        self._aliases = {name for name, value in made.items() if self._is_element(value)}
        self.stores = [node.place for node in inside if isinstance(node, tree.Store)]
        own = [place for place in self.stores if self._is_own(place)]
        self._gathered = {said(place) for place in self.stores if place not in own}
        self._gathered |= {node.name for node in inside if isinstance(node, tree.Assign)} - self._fresh
        self._own_fields = {name for place in own for name in _fields(place)}
        self._writes = bool(self._gathered or own)
        self._said: dict[str, int] = {}

    def dependent(self, body: Iterable[tree.Statement]) -> Iterator[bool]:
        """For each statement whether it may make the order matter."""
        for node in body:
            match node:
                case tree.If(test=test):
                    yield self._reads_gathered(test)
                    yield from self.dependent([*node.body, *node.otherwise])
                case tree.For(first=first, last=last):
                    yield self._reads_gathered(first) or self._reads_gathered(last)
                    yield from self.dependent(node.body)
                case tree.Assign(name=name, value=value):
                    yield self._assigns(name, name in self._fresh, value)
                case tree.Store(place=place, value=value):
                    yield self._assigns(said(place), self._is_own(place), value)
                case tree.Return(value=value):
                    yield self._writes or self._says_another("return", value)
                case tree.Evaluate(value=value):
                    yield value is not None and self._reads_gathered(value)
                case _:
                    yield not (isinstance(node, tree.Jump) and node.to == "continue")

    def _assigns(self, name: str, own: bool, value: tree.Expression) -> bool:
        grown = _grown_by(name, value)
        if any(self._reads_gathered(part) for part in grown or [value]):
            return True
        return not (grown or own) and self._says_another(name, value)

    def _says_another(self, name: str, value: tree.Expression | None) -> bool:
        """Whether something else than one and the same constant is given to a name."""
        value = tree.within(value, *AROUND) if value else None
        return not isinstance(value, tree.Const) or self._said.setdefault(name, value.number) != value.number

    def _is_element(self, node: tree.Node) -> bool:
        place = node.place if isinstance(node, tree.Load) else node
        index = tree.within(place.index, *AROUND) if isinstance(place, tree.Element) else None
        return isinstance(index, tree.Local) and index.name == self._variable

    def _is_own(self, place: tree.Node) -> bool:
        """Whether a place belongs to the value of this turn: it is indexed by it, or stands in such a place."""
        if any(self._is_element(part) for part in tree.walk(place)):
            return True
        root = place
        while isinstance(root, tree.Field | tree.Element):
            root = root.base
        return root is not place and isinstance(root, tree.Local) and root.name in self._aliases

    def _reads_gathered(self, node: tree.Node) -> bool:
        """Whether an expression reads what turns write: what all gather, or a field that others may have written of their own."""
        for place in _places(node):
            if any(
                said(part) in self._gathered
                for part in tree.walk(place)
                if isinstance(part, tree.Local | tree.Field | tree.Element)
            ):
                return True
            if not self._is_own(place) and self._own_fields & _fields(place):
                return True
        return False


def _grown_by(name: str, value: tree.Expression) -> list[tree.Expression]:
    """What is added in `found = u16(found + x)`."""
    inner, added, operators = tree.within(value, *AROUND), list[tree.Expression](), set[str]()
    while isinstance(inner, tree.Binary) and inner.operator in COMMUTING:
        added.append(inner.right)
        operators.add(inner.operator)
        inner = tree.within(inner.left, *AROUND)
    alike = len(operators) == 1 or operators == {"+", "-"}
    return added if alike and said(inner) == name else []


def _places(node: tree.Node) -> Iterator[tree.Node]:
    """The places that an expression reads, each whole, and those in their indexes."""
    if isinstance(node, tree.Local | tree.Field | tree.Element):
        yield node
        while isinstance(node, tree.Field | tree.Element):
            if isinstance(node, tree.Element):
                yield from _places(node.index)
            node = node.base
    else:
        for part in tree.parts(node):
            yield from _places(part)


def _fields(place: tree.Node) -> set[str]:
    """The names of the fields on the way to a place."""
    return {node.name for node in tree.walk(place) if isinstance(node, tree.Field)}


def _made_in_turns(
    body: Sequence[tree.Statement], named: Sequence[tree.Local | tree.Assign | tree.For]
) -> Iterator[tuple[str, tree.Expression]]:
    """The names that are given a value before anything else is done with them, in every turn; and the value."""
    for place, node in enumerate(body):
        blocks = [block for block in tree.parts(node) if isinstance(block, tree.Statement)]
        if isinstance(node, tree.If):
            yield from _made_in_turns(node.body, named)
            yield from _made_in_turns(node.otherwise, named)
        elif blocks:
            yield from _made_in_turns(blocks, named)
        if isinstance(node, tree.Assign):
            later = set(tree.walk(body[place:]))
            read_first = any(isinstance(part, tree.Local) and part.name == node.name for part in tree.walk(node.value))
            if not read_first and all(one in later for one in named if one.name == node.name):
                yield node.name, node.value
