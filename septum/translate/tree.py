"""The typed tree of a function: what its source says under a scope, each node with its kind and its place in the source.

read.py makes it from Python's tree, once for the kinds of a function's arguments. Passes are functions from it to facts, or to C
(print_c.py). A kind has bounds, so a tree needs no check but those that stand in it.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar, dataclass_transform

from septum.lang.answers import FoundAgain
from septum.lang.frames import Frames
from septum.lang.processes import Meter, Witness
from septum.lang.source import Source
from septum.lang.types import Array, Index, Scalar
from septum.lang.values import Kind
from septum.translate.sites import At, Site

Fact = TypeVar("Fact")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
@dataclass(frozen=True, eq=False)
class Node:
    """Any piece of a tree; every kind of node is a frozen dataclass. `inside` names its fields that hold others."""

    at: At
    inside: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, eq=False)(cls)
        held = [one.name for one in fields(cls) if any(name in str(one.type) for name in ("Expression", "Place", "Statement"))]
        cls.inside = tuple(held)


class Expression(Node):
    """What has a value. `reads`: it reads the state; `changes`: it changes the state, or notes an event."""

    kind: Kind

    @functools.cached_property
    def reads(self) -> bool:
        return reads(self) or any(part.reads for part in parts(self) if isinstance(part, Expression))

    @functools.cached_property
    def changes(self) -> bool:
        return changes(self) or any(part.changes for part in parts(self) if isinstance(part, Expression))


class Statement(Node):
    """What is done."""


# -- places: where something lies. A place that is a struct or an array is a value too, a reference.


class Field(Expression):
    """A field of the struct at `base`."""

    base: Expression
    struct: Any
    name: str


class Element(Expression):
    """An element of the array at `base`."""

    base: Expression
    array: Array
    index: Expression


Place = Field | Element


# -- values


class Const(Expression):
    """A number, a truth value, a member of an enum, or the value of an index type that a number names."""

    number: int


class Local(Expression):
    """A parameter or a local: its value, or the place that it refers to; the world among them."""

    name: str


class Load(Expression):
    """The scalar at a place; `text` is what the source calls it."""

    place: Place
    text: str = ""


class Register(Expression):
    """What the engine knows of the step: its "thread", the "choice" taken, the "place" in the source."""

    name: str


class Unary(Expression):
    """`not`; `only`, the set of one value; `address`, where a place lies in the world."""

    operator: str
    value: Expression


class Binary(Expression):
    """Arithmetic as C writes it, `min` or `max`, so widely that nothing wraps; or a comparison of values of like kinds."""

    operator: str
    left: Expression
    right: Expression


class Junction(Expression):
    """`and`, `or`: of truth values, up to the one that decides."""

    operator: str
    parts: tuple[Expression, ...]


class Conditional(Expression):
    """One of two values, or places."""

    test: Expression
    then: Expression
    otherwise: Expression


class Convert(Expression):
    """A value as one of another kind, which holds it."""

    value: Expression


class Limit(Expression):
    """How many values an index type has, by the scope."""

    of: Index


class Checked(Expression):
    """A check of a number: in 0 .. limit-1 or a value of that type ("fit", "index"), "nonzero", or not negative ("shift")."""

    check: str
    value: Expression
    limit: int | Scalar
    site: Site

    @property
    def most(self) -> int:
        """The greatest number that passes."""
        return (self.limit if isinstance(self.limit, int) else self.limit.limit) - 1


class Call(Expression):
    """What a routine gives for these arguments."""

    callee: Function
    arguments: tuple[Expression, ...]


class Assertion(Expression):
    """The run ends where `test` does not hold. Where a warn_on is not judged, the run goes on; its value is whether it failed.

    `shown` are the locals that its message shows.
    """

    test: Expression
    site: Site
    shown: frozenset[str] = frozenset()


class Note(Expression):
    """An event that is reached, a value that is observed, or what the source says of itself ("alike", "atomic", "commutes")."""

    what: Witness | Meter | str
    value: Expression | None = None


class Drain(Expression):
    """The stores in the buffer of the thread that runs go to memory."""


class Outcome(Expression):
    """What a process gave that has just ended."""

    of: Invoke


# -- statements


class Assign(Statement):
    """Gives a local its value."""

    name: str
    value: Expression


class Store(Statement):
    """Writes a scalar of the state; `text` is what the source calls it."""

    place: Place
    value: Expression
    text: str = ""


class Evaluate(Statement):
    """An expression for what it does; None does nothing."""

    value: Expression | None


class If(Statement):
    """A branch that the scope does not decide."""

    test: Expression
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


class While(Statement):
    """A loop; `site` fails where it does not end within one step. `for_ever`: it is written `while True`."""

    test: Expression
    body: tuple[Statement, ...]
    site: Site
    for_ever: bool = False


class For(Statement):
    """A loop over numbers, or the values of `over`. `alike`: the source says that nobody can tell in which order."""

    name: str
    first: Expression
    last: Expression
    step: int
    over: Index | None
    alike: bool
    body: tuple[Statement, ...]
    number: int = 0
    site: Site | None = None


class Jump(Statement):
    """`break` or `continue`."""

    to: str


class Return(Statement):
    """The end of the function."""

    value: Expression | None


class Pause(Statement):
    """A yield, by its number from 1: another thread may run here."""

    number: int


class Yield(Pause):
    """A bare yield."""


class Wait(Pause):
    """Goes on only where `test` holds."""

    test: Expression


class Choose(Pause):
    """Goes on in `count` ways; the way is in the register "choice". `site` fails where there is none."""

    count: Expression
    site: Site | None


class Invoke(Pause):
    """Runs a process to its end."""

    callee: Function
    arguments: tuple[Expression, ...]


@dataclass(eq=False)
class Function:
    """A function for given kinds of its arguments. `piece`: it says that it is "atomic", or that it "commutes"."""

    source: Source
    parameters: dict[str, Kind]
    kinds: dict[str, Kind]
    returns: Kind
    body: tuple[Statement, ...]
    is_process: bool = False
    piece: str = ""
    loops: int = 0
    frames: Frames | None = None
    facts: defaultdict[object, FoundAgain[Any]] = field(default_factory=lambda: defaultdict(FoundAgain))

    @functools.cached_property
    def nodes(self) -> list[Node]:
        """Every node of its statements, in the order of the source."""
        return [*walk(self.body)]

    @functools.cached_property
    def reads(self) -> bool:
        return self.is_process or any(map(reads, self.nodes))

    @functools.cached_property
    def changes(self) -> bool:
        """Whether it changes the state; a process always may."""
        return self.is_process or any(map(changes, self.nodes))

    @functools.cached_property
    def calls(self) -> tuple[Function, ...]:
        """The routines and processes that it calls, each once."""
        return tuple(dict.fromkeys(node.callee for node in self.nodes if isinstance(node, Call | Invoke)))

    @functools.cached_property
    def reach(self) -> tuple[Function, ...]:
        """The functions that run where it runs, itself the last, each after those that it calls."""
        return (*called(self.calls), self)

    @functools.cached_property
    def pauses(self) -> tuple[Pause, ...]:
        """Its yields, by number."""
        return tuple(node for node in self.nodes if isinstance(node, Pause))


def fact(derive: Callable[[Function], Fact]) -> Callable[[Function], Fact]:
    """Of a pass over a function: that what it finds is kept with the function, for every scope that answers as this one."""
    return functools.wraps(derive)(lambda function: function.facts[derive].get(lambda: derive(function)))


def parts(node: Node) -> Iterator[Node]:
    """The nodes in a node, in the order of the source."""
    for name in node.inside:
        found = getattr(node, name)
        if isinstance(found, tuple):
            yield from found
        elif found is not None:
            yield found


def walk(*of: Node | Iterable[Node]) -> Iterator[Node]:
    """Every node of these trees, each before what is in it."""
    todo: list[Node] = []
    for one in reversed(of):
        todo += [one] if isinstance(one, Node) else reversed([*one])
    while todo:
        node = todo.pop()
        yield node
        for name in reversed(node.inside):
            found = getattr(node, name)
            if found.__class__ is tuple:
                todo += found[::-1]
            elif found is not None:
                todo.append(found)


def reads(node: Node) -> bool:
    """Whether a node of itself reads the state."""
    return isinstance(node, Load) or (isinstance(node, Call) and node.callee.reads)


def changes(node: Node) -> bool:
    """Whether a node of itself changes the state, or notes an event."""
    if isinstance(node, Note):
        return isinstance(node.what, Witness)
    return isinstance(node, Store | Drain) or (isinstance(node, Call) and node.callee.changes)


def within(node: Expression, *of: type[Convert] | type[Checked]) -> Expression:
    """An expression without the conversions, or checks, around it."""
    while isinstance(node, of):
        node = node.value
    return node


def constant(node: Expression) -> int | None:
    """The number that an expression is, whatever the state."""
    node = within(node, Convert)
    return node.number if isinstance(node, Const) else node.of.limit if isinstance(node, Limit) else None


def called(roots: Iterable[Function]) -> list[Function]:
    """The functions that are called from `roots`, with these, each once and after those that it calls itself."""
    return [*dict.fromkeys(function for root in roots for function in root.reach)]
