"""Footprints: what every step of a thread may read and write, and what the thread may touch ever after.

Derived from the code, for the arguments with which a scenario calls it: an index that follows from them, from the number of the
thread, or from a field that no step writes, is known; any other may be anything. An over-approximation: a real step touches
no more than its footprint says.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from septum.lang.flow import Node
from septum.lang.functions import Instance
from septum.lang.model import Thread
from septum.lang.symbols import Current, Either, Element, Field, Known, Local, Place, Result, Symbol, World
from septum.lang.translate import Translation
from septum.lang.yields import Point

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

    instance: Instance
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
        self._written = _written([entry for program in entries for entry in program])
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

    def _context(self, instance: Instance, arguments: tuple[Meaning, ...]) -> Context:
        key = (instance, self._thread, arguments)
        if key not in self._contexts:
            made = self._contexts[key] = Context(instance)
            meanings = self._meanings(instance, arguments)
            results = [self._meaning(symbol, meanings) for symbol in instance.returned]
            made.result = _joined(result for result in results if not isinstance(result, _Missing))
            if instance.is_process:
                self._follow(made, meanings)
            else:
                made.total = self._touched(instance, [instance.source.tree], meanings)
        return self._contexts[key]

    def _meanings(self, instance: Instance, arguments: tuple[Meaning, ...]) -> dict[str, Meaning]:
        """What each local stands for, whenever it is read."""
        meanings: dict[str, Meaning] = dict(zip(instance.parameters, arguments, strict=True))
        changed = True
        while changed:
            changed = False
            for name, symbol in instance.bound:
                new = self._meaning(symbol, meanings)
                if isinstance(new, _Missing):
                    continue
                joined = _joined([meanings[name], new]) if name in meanings else new
                if name not in meanings or joined != meanings[name]:
                    meanings[name], changed = joined, True
        return meanings

    def _meaning(self, symbol: Symbol | None, meanings: dict[str, Meaning]) -> Meaning | _Missing:
        match symbol:
            case Known(number):
                return number
            case Current():
                return self._thread
            case World():
                return HERE
            case Local(name):
                return meanings.get(name, _MISSING)
            case Field() | Element():
                places = self._places(symbol, meanings)
                return self._content(symbol, places) if symbol.scalar else places
            case Either(one, other):
                both = [self._meaning(one, meanings), self._meaning(other, meanings)]
                return _joined(meaning for meaning in both if not isinstance(meaning, _Missing))
            case Result(of, arguments):
                given = [self._meaning(argument, meanings) for argument in arguments]
                known = [meaning for meaning in given if not isinstance(meaning, _Missing)]
                return self._context(of, tuple(known)).result if len(known) == len(given) else _MISSING
        return None

    def _places(self, place: Place, meanings: dict[str, Meaning]) -> Places:
        base = self._meaning(place.base, meanings)
        if isinstance(base, _Missing):
            return frozenset()
        assert isinstance(base, frozenset), f"{place} has no base"
        if isinstance(place, Field):
            return frozenset((*path, place.name) for path in base)
        index = self._meaning(place.index, meanings)
        limit = place.array.index.fixed if place.array.index else place.array.length
        known = index if isinstance(index, int) and index < limit else None
        return frozenset((*path, known) for path in base)

    def _content(self, place: Place, places: Places) -> Meaning:
        """The number at a place that no step writes."""
        if (place.array if isinstance(place, Element) else (place.struct, place.name)) in self._written:
            return None
        return _joined(None if None in path else self._read(path) for path in places)

    def _read(self, path: Path) -> int:
        found = self._world
        for step in path:
            found = getattr(found, step) if isinstance(step, str) else found[step]
        return int(found)

    def _touched(self, instance: Instance, trees: Iterable[ast.AST], meanings: dict[str, Meaning]) -> Footprint:
        """What the expressions of a function touch, with the routines that they call."""
        found = NOTHING
        for node in (node for tree in trees for node in ast.walk(tree)):
            if node in instance.places:
                paths = 0
                for path in self._places(instance.places[node], meanings):
                    paths |= 1 << self.paths.setdefault(path, len(self.paths))
                reads = node not in instance.stores or node in instance.updates
                found |= Footprint(paths if reads else 0, paths if node in instance.stores else 0)
            elif node in instance.invoked and not instance.invoked[node].of.is_process:
                called = self._called(instance, node, meanings)
                found |= called.total if called else NOTHING
        return found

    def _called(self, instance: Instance, node: ast.AST, meanings: dict[str, Meaning]) -> Context | None:
        """The function that is called; None where it never is, or nothing is known of what it is given."""
        if node not in instance.invoked:
            return None
        called = instance.invoked[node]
        given = [self._meaning(argument, meanings) for argument in called.arguments]
        known = [meaning for meaning in given if not isinstance(meaning, _Missing)]
        return self._context(called.of, tuple(known)) if len(known) == len(given) else None

    # -- the steps of a process

    def _follow(self, of: Context, meanings: dict[str, Meaning]) -> None:
        instance = of.instance
        flow = instance.flow
        assert flow is not None
        called = {node.calls: self._called(instance, node.calls, meanings) for node in flow.nodes if node.calls}
        own = {node: self._touched(instance, node.trees, meanings) for node in flow.nodes}

        def passes(call: ast.YieldFrom) -> bool:
            callee = called[call]
            return callee is None or callee.spots[0].leaves

        def spot(start: Node, point: Point | None) -> Spot:
            step, leaves, turns = NOTHING, False, False
            for node in flow.region(start, passes):
                step, leaves, turns = step | own[node], leaves or node.leaves, turns or node.turns
                callee = called[node.calls] if node.calls else None
                if callee:
                    step, turns = step | callee.spots[0].step, turns or callee.spots[0].turns
            later = NOTHING
            for node in flow.future(start):
                callee = called[node.calls] if node.calls else None
                later |= own[node] | (callee.total if callee else NOTHING)
            inner = called.get(point.node) if point and isinstance(point.node, ast.YieldFrom) else None
            waits = self._touched(instance, [point.node], meanings) if point and point.kind == "when" else NOTHING
            return Spot(point.number if point else 0, point.end if point else 0, step, later, waits, leaves, turns, inner)

        of.spots = [spot(flow.entry, None), *(spot(flow.resumed[point.node], point) for point in instance.points)]
        of.total = of.spots[0].later


def _joined(meanings: Iterable[Meaning]) -> Meaning:
    """What may stand for any of these."""
    found = set(meanings)
    if len(found) == 1:
        return found.pop()
    if found and all(isinstance(meaning, frozenset) for meaning in found):
        return frozenset().union(*found)  # type: ignore[arg-type]
    return None


def _written(entries: Iterable[Instance]) -> set[object]:
    """The fields, as struct and name, and the arrays of scalars that a step may write."""
    seen: set[Instance] = set()
    found: set[object] = set()
    todo = list(entries)
    while todo:
        instance = todo.pop()
        if instance in seen:
            continue
        seen.add(instance)
        todo += [called.of for called in instance.invoked.values()]
        for target in instance.stores:
            place = instance.places[target]
            found.add(place.array if isinstance(place, Element) else (place.struct, place.name))
    return found
