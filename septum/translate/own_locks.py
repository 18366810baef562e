"""Locks of one's own: words that a model tests and sets by plain accesses, recognised by what is done with them.

A trylock is a word that is set only where it was tested, and cleared only by who has set it. A ticket lock is a word from which
each thread draws a number, and then waits until another word has come to that. The kernel takes such a word by one locked
instruction; so the accesses of a step to it are one piece, and reports say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from septum.lang.struct import Word
from septum.lang.values import is_bool
from septum.translate import tree
from septum.translate.show import said

Name: TypeAlias = tuple[object, str]
"""A field, of all structs of a type; or the elements of an array that it is."""

Names: TypeAlias = frozenset[Name]
Store: TypeAlias = tuple[tree.Function, tree.Store]

OURS = "septum."
"""The locks of the kernel that septum brings along have words of their own."""


@dataclass(frozen=True)
class OwnLock:
    """A word that stands for a lock: what the source calls it where it is taken, and where that is."""

    text: str
    file: str
    line: int


def own_name(place: tree.Expression) -> Name | None:
    """The field that a place is, if its struct is declared outside of septum, and is none whose accesses are one anyway."""
    if isinstance(place, tree.Element):
        return own_name(place.base)
    if not isinstance(place, tree.Field) or not isinstance(place.struct, type) or issubclass(place.struct, Word):
        return None
    return None if place.struct.__module__.startswith(OURS) else (place.struct, place.name)


def own_locks(entries: Sequence[tree.Function]) -> dict[Name, OwnLock]:
    """The fields that are words of locks for threads that run these functions."""
    functions = tree.called(entries)
    stores: dict[Name, list[Store]] = {}
    for function in functions:
        for name, store in _stores(function):
            stores.setdefault(name, []).append((function, store))
    if not stores:
        return {}
    origins = _Origins(functions)
    found: dict[Name, tree.Store] = {}
    stores = {name: written for name, written in stores.items() if all(_is_one_place(one, name) for one in functions)}
    for name in _tickets(functions, origins, stores):
        if plain := [store for function, store in stores[name] if not _is_piece(function)]:
            found[name] = plain[0]
    for name, written in stores.items():
        numbers = {number for _, store in written if (number := tree.constant(store.value)) is not None}
        counts = any(name in origins.of(*value) for value in _values(written))
        for free in sorted(numbers) if not counts else ():
            if take := _Trylock(name, free, origins).take(entries):
                found[name] = take
    return {name: OwnLock(store.text, store.at.file, store.at.line) for name, store in found.items()}


@tree.fact
def _stores(function: tree.Function) -> list[tuple[Name, tree.Store]]:
    named = [(own_name(node.place), node) for node in function.nodes if isinstance(node, tree.Store)]
    return [(name, node) for name, node in named if name]


def _is_one_place(function: tree.Function, name: Name) -> bool:
    """Whether a function calls what it touches of a field by one name: who tests one of several locks takes no other."""
    touching = (node.place for node in function.nodes if isinstance(node, tree.Load | tree.Store))
    return len({said(place) for place in touching if own_name(place) == name}) <= 1


def _values(written: Iterable[Store]) -> Iterator[tuple[tree.Function, tree.Expression]]:
    return ((function, store.value) for function, store in written)


class _Origins:
    """The fields that a value comes from, by way of locals, parameters and results, but not of an index or a branch.

    What a function gives comes from the fields that it writes, too: it may say whether it did.
    """

    def __init__(self, functions: Sequence[tree.Function]) -> None:
        self._locals: dict[tuple[tree.Function, str], Names] = {}
        self._results = {
            function: frozenset(name for one in function.reach for name, _ in _stores(one)) for function in functions
        }
        known = -1
        while known != (known := sum(map(len, (*self._locals.values(), *self._results.values())))):
            for function in functions:
                for node in function.nodes:
                    self._follow(function, node)

    def of(self, function: tree.Function, node: tree.Node | None) -> Names:
        """Those of an expression of a function."""
        match node:
            case None:
                return frozenset()
            case tree.Load(place=place):
                name = own_name(place)
                return frozenset({name} if name else ())
            case tree.Local(name=local):
                return self._locals.get((function, local), frozenset())
            case tree.Call(callee=callee) | tree.Outcome(of=tree.Invoke(callee=callee)):
                return self._results[callee]
        return frozenset().union(*(self.of(function, part) for part in tree.parts(node)))

    def _follow(self, function: tree.Function, node: tree.Node) -> None:
        match node:
            case tree.Assign(name=name, value=value):
                self._join((function, name), self.of(function, value))
            case tree.Return(value=value):
                self._results[function] |= self.of(function, value)
            case tree.Call(callee=callee, arguments=arguments) | tree.Invoke(callee=callee, arguments=arguments):
                for parameter, argument in zip(callee.parameters, arguments, strict=True):
                    self._join((callee, parameter), self.of(function, argument))

    def _join(self, local: tuple[tree.Function, str], names: Names) -> None:
        self._locals[local] = self._locals.get(local, frozenset()) | names


# -- a ticket lock

PIECES = {"one_piece": 1, "no_piece": -1, "atomic": 1}
"""What is said of a step, and whether a piece begins or ends there."""


def _is_piece(function: tree.Function) -> bool:
    """Whether a function says itself that it is one instruction, or has one in it."""
    return bool(function.piece) or any(isinstance(node, tree.Note) and node.what in PIECES for node in function.nodes)


def _tickets(functions: Iterable[tree.Function], origins: _Origins, stores: dict[Name, list[Store]]) -> Iterator[Name]:
    """The words from which numbers are drawn whose turn is waited for."""

    def moves_on(name: Name, *by: Name) -> bool:
        return all(not origins.of(*value).isdisjoint(by) for value in _values(stores.get(name, ())))

    for function, one, other in _awaited(functions):
        turn = own_name(one.place) if isinstance(one, tree.Load) else None
        for name in sorted(origins.of(function, other), key=str) if isinstance(other, tree.Local) and turn else ():
            if turn and name != turn and moves_on(name, name) and moves_on(turn, turn, name):
                yield name


def _awaited(functions: Iterable[tree.Function]) -> Iterator[tuple[tree.Function, tree.Expression, tree.Expression]]:
    """What is compared where a thread waits, each way round."""
    for function in functions:
        for node in function.nodes:
            if isinstance(node, tree.Wait) or (isinstance(node, tree.While) and _pauses(node)):
                asked = tree.called(one.callee for one in tree.walk(node.test) if isinstance(one, tree.Call))
                for within, nodes in ((function, tree.walk(node.test)), *((one, one.nodes) for one in asked)):
                    for part in nodes:
                        if isinstance(part, tree.Binary) and part.operator in ("==", "!="):
                            one, other = (tree.within(side, tree.Convert) for side in (part.left, part.right))
                            yield from ((within, one, other), (within, other, one))


def _pauses(loop: tree.While) -> bool:
    return any(isinstance(node, tree.Pause) for node in tree.walk(loop.body))


# -- a trylock


class Hold(Enum):
    """What a thread knows of a word: nothing, that a test or a wait of this step found it free, whether it took it."""

    NOTHING = 0
    TESTED = 1
    AWAITED = 2
    PERHAPS = 3
    TAKEN = 4


def _joined(*holds: Hold | None) -> Hold | None:
    """What is known where these ways meet; None is a way that does not lead there."""
    met = {hold for hold in holds if hold}
    if len(met) < 2:
        return next(iter(met), None)
    return Hold.PERHAPS if met & {Hold.PERHAPS, Hold.TAKEN} else Hold.NOTHING


@dataclass
class _Loop:
    breaks: Hold | None = None
    turns: Hold | None = None


@dataclass
class _Trylock:
    """Whether a field, which is `free` as this number, is the word of a trylock."""

    name: Name
    free: int
    origins: _Origins
    is_one: bool = True
    given: bool = False
    taken: tree.Store | None = None
    _within: list[tuple[tree.Function, list[Hold]]] = field(default_factory=list)
    _loops: list[_Loop] = field(default_factory=list)
    _pieces: int = 0
    _after: dict[tuple[tree.Function, Hold, bool], Hold] = field(default_factory=dict)

    def take(self, entries: Iterable[tree.Function]) -> tree.Store | None:
        """Where it is taken without waiting, and nothing says that this is one piece; None if it is no such word."""
        for entry in entries:
            self._run(entry, Hold.NOTHING)
        return self.taken if self.is_one and self.given else None

    def _run(self, function: tree.Function, hold: Hold) -> Hold:
        key = function, hold, self._pieces > 0
        if key not in self._after:
            self._within.append((function, []))
            self._pieces += function.piece != ""
            end = self._block(function.body, hold)
            self._pieces -= function.piece != ""
            _, returned = self._within.pop()
            self._after[key] = _joined(end, *returned) or Hold.NOTHING
        return self._after[key]

    def _block(self, body: Iterable[tree.Statement], hold: Hold | None) -> Hold | None:
        for statement in body:
            if hold:
                hold = self._statement(statement, hold)
        return hold

    def _statement(self, statement: tree.Statement, hold: Hold) -> Hold | None:
        match statement:
            case tree.If(test=test, body=body, otherwise=otherwise):
                then, other = self._tested(test, hold)
                return _joined(self._block(body, then), self._block(otherwise, other))
            case tree.While() | tree.For():
                return self._loop(statement, hold)
            case tree.Jump(to=to):
                loop = self._loops[-1]
                if to == "break":
                    loop.breaks = _joined(loop.breaks, hold)
                else:
                    loop.turns = _joined(loop.turns, hold)
                return None
            case tree.Return():
                self._within[-1][1].append(self._called(statement, hold))
                return None
            case tree.Store(place=place) if own_name(place) == self.name:
                return self._stored(statement, self._called(statement, hold))
            case tree.Invoke(callee=callee):
                return self._run(callee, hold)
            case tree.Pause():
                self._pieces = 0
                awaited = isinstance(statement, tree.Wait) and self._where_taken(statement.test) is False
                return hold if hold in (Hold.PERHAPS, Hold.TAKEN) else Hold.AWAITED if awaited else Hold.NOTHING
        return self._called(statement, hold)

    def _loop(self, loop: tree.While | tree.For, hold: Hold) -> Hold | None:
        """What is known behind a loop: its head is met again until nothing less is known there."""
        test = loop.test if isinstance(loop, tree.While) and not loop.for_ever else None
        while True:
            self._loops.append(_Loop())
            inside, leaves = self._tested(test, hold) if test else (hold, hold)
            end = self._block(loop.body, inside)
            ways = self._loops.pop()
            again = _joined(hold, end, ways.turns) or hold
            if again is hold:
                return _joined(None if isinstance(loop, tree.While) and loop.for_ever else leaves, ways.breaks)
            hold = again

    def _called(self, node: tree.Node, hold: Hold) -> Hold:
        for part in tree.walk(node):
            if isinstance(part, tree.Call):
                hold = self._run(part.callee, hold)
            elif isinstance(part, tree.Note) and isinstance(part.what, str):
                self._pieces += PIECES.get(part.what, 0)
        return hold

    def _is_from(self, node: tree.Node) -> bool:
        return self.name in self.origins.of(self._within[-1][0], node)

    def _tested(self, test: tree.Expression, hold: Hold) -> tuple[Hold, Hold]:
        """What is known where a test holds, and where not. Who may have taken the word knows by what it kept then."""
        hold = self._called(test, hold)
        for part in tree.walk(test):
            tells = isinstance(part, tree.Local) or (isinstance(part, tree.Call) and part.callee.changes)
            if hold is Hold.PERHAPS and tells and self._is_from(part):
                return Hold.TAKEN, Hold.TAKEN
        if hold is not Hold.NOTHING:
            return hold, hold
        comes = self._where_taken(test)
        return Hold.TESTED if comes is False else hold, Hold.TESTED if comes is True else hold

    def _where_taken(self, test: tree.Expression) -> bool | None:
        """What a test comes to, for certain, where the word is not free; None if that is not known."""
        test = self._meant(test)
        match test:
            case tree.Load():
                return self.free == 0 or (None if not is_bool(test.kind) else False) if self._is_word(test) else None
            case tree.Unary(operator="not", value=value):
                comes = self._where_taken(value)
                return None if comes is None else not comes
            case tree.Junction(operator=operator, parts=parts):
                decides, ways = operator == "or", [self._where_taken(part) for part in parts]
                return decides if decides in ways else None if None in ways else not decides
            case tree.Binary(operator="==" | "!=", left=left, right=right):
                for one, other in ((left, right), (right, left)):
                    if self._is_word(self._meant(one)) and tree.constant(other) == self.free:
                        return test.operator == "!="
        return None

    def _is_word(self, node: tree.Expression) -> bool:
        return isinstance(node, tree.Load) and own_name(node.place) == self.name

    def _meant(self, node: tree.Expression) -> tree.Expression:
        """Of a local that is given a value once, that value."""
        node = tree.within(node, tree.Convert)
        if isinstance(node, tree.Local):
            given = [one.value for one in self._within[-1][0].nodes if isinstance(one, tree.Assign) and one.name == node.name]
            return self._meant(given[0]) if len(given) == 1 else node
        return node

    def _stored(self, store: tree.Store, hold: Hold) -> Hold:
        if tree.constant(store.value) == self.free:
            self.given = True
            self.is_one &= hold is Hold.TAKEN
            return Hold.NOTHING
        self.is_one &= hold not in (Hold.NOTHING, Hold.PERHAPS)
        if hold is not Hold.AWAITED and not self._pieces:
            self.taken = self.taken or store
        return Hold.TAKEN
