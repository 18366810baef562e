"""What tells the values of an index type apart, or threads by their number: where it is, they are not alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from septum.lang.types import Index, SetOf
from septum.lang.values import Kind, Num, Of
from septum.reduce.order import depends_on_order
from septum.translate import tree
from septum.translate.reader import is_interchangeable
from septum.translate.sites import At


@dataclass(frozen=True)
class Distinction:
    """Where a function tells the values of an index type apart, or (None) threads by their number: they are not alike for it."""

    index: Index | None
    file: str
    line: int
    why: str


Told = tuple[At, Index | None, str]


@tree.fact
def distinctions(function: tree.Function) -> list[Distinction]:
    """Everything of a function that tells values apart."""
    found: list[Told] = []
    named = {node.value for node in function.nodes if isinstance(node, tree.Convert) and _index(node.kind)}
    threads = {tree.within(value, tree.Checked) for value in named}
    for node in function.nodes:
        if isinstance(node, tree.Register) and node.name == "thread" and node not in threads:
            found.append((node.at, None, "the number of a thread is used as a number"))
        found += _told_by(node)
        if isinstance(node, tree.For) and node.over and not node.alike and not is_interchangeable(node.over):
            found += [(node.at, node.over, f"a loop goes through {node.over} in order")] * depends_on_order(node, function)
    return [Distinction(index, at.file, at.line, why) for at, index, why in found]


def told_apart(roots: Iterable[tree.Function]) -> set[Index | None]:
    """The index types whose values are told apart by what is called from `roots`; None where threads are, by number."""
    return {one.index for function in tree.called(roots) for one in distinctions(function)}


def thread_types(functions: Iterable[tree.Function]) -> set[Index]:
    """The index types that the number of a thread becomes one of."""
    return set().union(*map(_thread_types, functions))


@tree.fact
def _thread_types(function: tree.Function) -> set[Index]:
    found = ((_index(node.kind), node.value) for node in function.nodes if isinstance(node, tree.Convert))
    return {index for index, value in found if index and _is_thread(tree.within(value, tree.Checked))}


def _told_by(node: tree.Node) -> Iterator[Told]:
    match node:
        case tree.Const(at=at, kind=kind, number=number):
            yield from _named(at, kind, number)
        case tree.Convert(at=at, kind=kind, value=value):
            yield from _converted(at, kind, tree.within(value, tree.Checked))
        case tree.Binary(at=at, operator="<" | "<=" | ">" | ">=", left=left):
            index = _index(left.kind)
            if index:
                yield at, index, f"values of {index} are ordered"


def _named(at: At, kind: Kind, number: int) -> Iterator[Told]:
    """A constant as a value of an index type: all may name the one that means none."""
    index = _index(kind)
    if index and not (number == 0 and index.none):
        yield at, index, f"{number} is named"
    if isinstance(kind, Of) and isinstance(kind.scalar, SetOf) and number:
        yield at, kind.scalar.index, f"a number becomes a {kind.scalar}"
    if isinstance(kind, Num) and kind.packed and number >> kind.packed.low & ((1 << kind.packed.high - kind.packed.low) - 1):
        yield at, kind.packed.index, f"{number:#x} names one"


def _converted(at: At, to: Kind, value: tree.Expression) -> Iterator[Told]:
    """Between values that may be alike and numbers, which are not."""
    of, index = value.kind, _index(to)
    if isinstance(of, Of) and isinstance(of.scalar, Index | SetOf) and not is_interchangeable(of.scalar):
        yield at, of.scalar.index if isinstance(of.scalar, SetOf) else of.scalar, f"a {of.scalar} is used as a number"
    if isinstance(to, Of) and isinstance(to.scalar, SetOf):
        yield at, to.scalar.index, f"a number becomes a {to.scalar}"
    about = isinstance(of, Num) and (of.bits_of or (of.packed and of.packed.index))
    if index and about is not index and tree.constant(value) is None and not _is_thread(value):
        yield at, index, f"a number becomes a {index}"


def _index(kind: Kind) -> Index | None:
    return kind.scalar if isinstance(kind, Of) and isinstance(kind.scalar, Index) else None


def _is_thread(node: tree.Node) -> bool:
    return isinstance(node, tree.Register) and node.name == "thread"
