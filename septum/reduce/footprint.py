"""Footprints: what every step of a thread may read and write, and what the thread may touch ever after.

Derived from the code, for the arguments with which a scenario calls it: an index that follows from them, from the number of the
thread, or from a field that no step writes, is known; any other may be anything. An over-approximation: a real step touches
no more than its footprint says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from septum.lang.model import Thread
from septum.lang.values import Ref
from septum.translate import tree
from septum.translate.flow import Piece, flow
from septum.translate.translation import Translation

Path = tuple[str | int | None, ...]
"""A place of the world: names of fields, and indexes; None is an index that is not known."""

Places = frozenset[Path]
Meaning = int | Places | None
"""What a symbol stands for: a number, one of some places, or a number that is not known."""

HERE: Places = frozenset({()})


class Footprint(NamedTuple):
    """Sets of paths that may be read and written, as bits: the numbers are those of Footprints.paths."""

    reads: int = 0
    writes: int = 0

    def __or__(self, other: object) -> Footprint:
        assert isinstance(other, Footprint)
        return Footprint(self.reads | other.reads, self.writes | other.writes)


NOTHING = Footprint()


@dataclass
class Spot:
    """Where a process stands. `step` is the footprint of the step from here, as far as this process, `later` of all that follows,
    `waits` of the condition that it waits for here.

    `leaves`: the step may go on in the caller. `turns`: it may go back to the head of a loop that yields. `inner` is the process
    called, where it stands inside of a call.
    """

    number: int
    end: int
    step: Footprint
    later: Footprint
    waits: Footprint
    leaves: bool
    turns: bool
    inner: Context | None = None


@dataclass(eq=False)
class Context:
    """A function for known arguments; `spots` of a process, at 0 where it begins."""

    function: tree.Function
    result: Meaning = None
    total: Footprint = NOTHING
    spots: list[Spot] = field(default_factory=list)


class _Missing:
    """The meaning of a local before anything is assigned to it."""


_MISSING = _Missing()


class Footprints:
    """The footprints of a scenario: of its threads, in the world with which it starts. Used under the scope of the model."""

    def __init__(self, translation: Translation, threads: Sequence[Thread], world: Any) -> None:
        self.paths: dict[Path, int] = {}
        self._world, self._thread = world, 0
        self._contexts: dict[tuple[Any, ...], Context] = {}
        entries = [[translation.entries[translation.entry(call.process, len(call.arguments))] for call in thread.calls]
                   for thread in threads]  # fmt: skip
        self._written = {_written(store.place) for function in tree.called(entry for program in entries for entry in program)
                         for store in _stores(function)}  # fmt: skip
        self.programs: list[list[Context]] = []
        for self._thread, thread in enumerate(threads):
            program = zip(entries[self._thread], thread.calls, strict=True)
            self.programs.append([self._context(entry, (HERE, *call.arguments)) for entry, call in program])
        self.judged = NOTHING
        for check in translation.always:
            self.judged |= self._context(check, (HERE,)).total

    def contexts(self) -> Iterator[Context]:
        """Every process that a thread may run, for every choice of arguments that was told apart."""
        seen: set[Context] = set()
        todo = [context for program in self.programs for context in program]
        while todo:
            context = todo.pop()
            if context not in seen:
                seen.add(context)
                yield context
                todo += [spot.inner for spot in context.spots if spot.inner]

    def places(self, paths: int) -> list[Path]:
        """The paths of a set."""
        return [path for path, number in self.paths.items() if paths >> number & 1]

    # -- one function

    def _context(self, function: tree.Function, arguments: tuple[Meaning, ...]) -> Context:
        key = (function, self._thread if function.is_process or _knows_thread(function) else None, arguments)
        if key not in self._contexts:
            made = self._contexts[key] = Context(function)
            meanings = self._meanings(function, arguments)
            results = [self._meaning(value, meanings) for value in _bound(function)[1]]
            made.result = _joined(result for result in results if not isinstance(result, _Missing))
            if function.is_process:
                self._follow(made, meanings)
            else:
                made.total = self._touched(_touching(function), meanings)
        return self._contexts[key]

    def _meanings(self, function: tree.Function, arguments: tuple[Meaning, ...]) -> dict[str, Meaning]:
        """What each local stands for, whenever it is read. A value is looked at again where a local that it reads has changed."""
        meanings: dict[str, Meaning] = dict(zip(function.parameters, arguments, strict=True))
        changes, before, changed_at, looked_at = 0, -1, dict[str, int](), dict[_Bound, int]()
        while changes > before:
            before = changes
            for bound in _bound(function)[0]:
                if bound in looked_at and all(changed_at.get(name, 0) <= looked_at[bound] for name in bound.reads):
                    continue
                looked_at[bound] = changes
                name, new = bound.name, self._meaning(bound.value, meanings)
                if isinstance(new, _Missing):
                    continue
                joined = _joined([meanings[name], new]) if name in meanings else new
                if name not in meanings or joined != meanings[name]:
                    changes += 1
                    meanings[name], changed_at[name] = joined, changes
        return meanings

    def _meaning(self, node: tree.Node | None, meanings: dict[str, Meaning]) -> Meaning | _Missing:
        match node:
            case tree.Const(number=number):
                return number
            case tree.Register(name="thread"):
                return self._thread
            case tree.Local(name=name):
                return meanings.get(name, _MISSING)
            case tree.Field() | tree.Element():
                return self._places(node, meanings)
            case tree.Load(place=place):
                return self._content(place, self._places(place, meanings))
            case tree.Convert(value=value) | tree.Checked(check="fit", value=value):
                return self._meaning(value, meanings)
            case tree.Conditional(then=one, otherwise=other, kind=Ref()):
                both = [self._meaning(one, meanings), self._meaning(other, meanings)]
                return _joined(meaning for meaning in both if not isinstance(meaning, _Missing))
            case tree.Call() | tree.Outcome():
                context = self._called(node.of if isinstance(node, tree.Outcome) else node, meanings)
                return context.result if context else _MISSING
        return None

    def _places(self, place: tree.Place, meanings: dict[str, Meaning]) -> Places:
        base = self._meaning(place.base, meanings)
        if isinstance(base, _Missing):
            return frozenset()
        assert isinstance(base, frozenset), f"{place} has no base"
        if isinstance(place, tree.Field):
            return frozenset((*path, place.name) for path in base)
        index = self._meaning(place.index.value if isinstance(place.index, tree.Checked) else place.index, meanings)
        limit = place.array.index.fixed if place.array.index else place.array.length
        known = index if isinstance(index, int) and index < limit else None
        return frozenset((*path, known) for path in base)

    def _content(self, place: tree.Place, places: Places) -> Meaning:
        """The number at a place that no step writes."""
        if _written(place) in self._written:
            return None
        return _joined(None if None in path else self._read(path) for path in places)

    def _read(self, path: Path) -> int:
        found = self._world
        for step in path:
            found = getattr(found, step) if isinstance(step, str) else found[step]
        return int(found)

    def _touched(self, nodes: Iterable[_Touching], meanings: dict[str, Meaning]) -> Footprint:
        """What nodes of a function touch, with the routines that they call."""
        reads = writes = 0
        for node in nodes:
            if isinstance(node, tree.Call):
                context = self._called(node, meanings)
                total = context.total if context else NOTHING
                reads, writes = reads | total.reads, writes | total.writes
                continue
            paths = 0
            for path in self._places(node.place, meanings):
                paths |= 1 << self.paths.setdefault(path, len(self.paths))
            if isinstance(node, tree.Load):
                reads |= paths
            else:
                writes |= paths
        return Footprint(reads, writes)

    def _called(self, node: tree.Call | tree.Invoke, meanings: dict[str, Meaning]) -> Context | None:
        """The function that is called; None where it never is, or nothing is known of what it is given."""
        given = [self._meaning(argument, meanings) for argument in node.arguments]
        known = [meaning for meaning in given if not isinstance(meaning, _Missing)]
        return self._context(node.callee, tuple(known)) if len(known) == len(given) else None

    # -- the steps of a process

    def _follow(self, of: Context, meanings: dict[str, Meaning]) -> None:
        graph = flow(of.function)
        invoked: dict[tree.Pause | None, Context | None] = {
            piece.pause: self._called(piece.pause, meanings) for piece in graph.pieces if isinstance(piece.pause, tree.Invoke)
        }
        begun, whole, turning = dict[Piece, Footprint](), dict[Piece, Footprint](), set[Piece]()
        for piece, touching in _pieces(of.function):
            own, callee = self._touched(touching, meanings), invoked.get(piece.pause)
            begun[piece], whole[piece] = (own | callee.spots[0].step, own | callee.total) if callee else (own, own)
            if piece.turns or (callee and callee.spots[0].turns):
                turning.add(piece)

        def passes(call: tree.Invoke) -> bool:
            callee = invoked[call]
            return callee is None or callee.spots[0].leaves

        def spot(start: Piece, pause: tree.Pause | None) -> Spot:
            region = [*graph.region(start, passes)]
            step, later = _union(begun[piece] for piece in region), _union(whole[piece] for piece in graph.future(start))
            leaves, turns = any(piece.leaves for piece in region), not turning.isdisjoint(region)
            if pause is None:
                return Spot(0, 0, step, later, NOTHING, leaves, turns)
            assert of.function.frames
            end = of.function.frames.points[pause.number - 1].end
            waits = self._touched(_touching_in(pause.test), meanings) if isinstance(pause, tree.Wait) else NOTHING
            return Spot(pause.number, end, step, later, waits, leaves, turns, invoked.get(pause))

        of.spots = [spot(graph.entry, None), *(spot(graph.resumed[pause], pause) for pause in of.function.pauses)]
        of.total = of.spots[0].later


def _union(footprints: Iterable[Footprint]) -> Footprint:
    reads = writes = 0
    for one in footprints:
        reads, writes = reads | one.reads, writes | one.writes
    return Footprint(reads, writes)


@tree.fact
def _knows_thread(function: tree.Function) -> bool:
    """Whether a function, or one that it calls, asks for the number of its thread."""
    return any(isinstance(node, tree.Register) and node.name == "thread" for one in function.reach for node in one.nodes)


@dataclass(frozen=True, eq=False)
class _Bound:
    """A value that a local may get, None where it is not known, and the locals that it reads."""

    name: str
    value: tree.Expression | None
    reads: frozenset[str]


@tree.fact
def _bound(function: tree.Function) -> tuple[list[_Bound], list[tree.Expression | None]]:
    """The values that each local may get, and those that are returned."""
    bound: list[_Bound] = []
    returned: list[tree.Expression | None] = []
    for node in function.nodes:
        if isinstance(node, tree.Assign):
            bound.append(
                _Bound(node.name, node.value, frozenset(one.name for one in tree.walk(node.value) if isinstance(one, tree.Local)))
            )
        elif isinstance(node, tree.For):
            bound.append(_Bound(node.name, None, frozenset()))
        elif isinstance(node, tree.Return):
            returned.append(node.value)
    return bound, returned


_Touching = tree.Load | tree.Store | tree.Call


def _touching_in(*trees: tree.Node) -> list[_Touching]:
    return [node for node in tree.walk(trees) if isinstance(node, tree.Load | tree.Store | tree.Call)]


@tree.fact
def _touching(function: tree.Function) -> list[_Touching]:
    """What touches the state, or may."""
    return _touching_in(*function.body)


@tree.fact
def _pieces(function: tree.Function) -> list[tuple[Piece, list[_Touching]]]:
    """The same by the pieces of a process."""
    return [(piece, _touching_in(*piece.trees)) for piece in flow(function).pieces]


@tree.fact
def _stores(function: tree.Function) -> list[tree.Store]:
    return [node for node in function.nodes if isinstance(node, tree.Store)]


def _joined(meanings: Iterable[Meaning]) -> Meaning:
    """What may stand for any of these."""
    found = set(meanings)
    if len(found) == 1:
        return found.pop()
    if found and all(isinstance(meaning, frozenset) for meaning in found):
        return frozenset().union(*found)  # type: ignore[arg-type]
    return None


def _written(place: tree.Place) -> object:
    """What a store to a place writes, of all places: a field, as struct and name, or an array of scalars."""
    return place.array if isinstance(place, tree.Element) else (place.struct, place.name)
