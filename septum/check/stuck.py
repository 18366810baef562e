"""Who is stuck at the end of a schedule, for which places each waits, and who holds or set them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from septum.check.result import Standing, Step
from septum.check.slicing import Watched
from septum.explore.build import DEADLOCK, Build
from septum.lang.engine import Engine
from septum.translate import tree


def stuck(build: Build, engine: Engine) -> set[int]:
    """Who waits, and can never go on: nobody can, or what the others may still do cannot help. Daemons alone may."""
    if any(engine.pending(number) for number in range(len(engine.threads))):
        return set()  # a store that the memory has yet to take may be what any of them waits for
    waiting = {n for n, actor in enumerate(engine.threads) if not actor.ended and not engine.can_step(n)}
    found = build.tables().stuck([engine.frame(number) for number in range(len(engine.threads))], waiting)
    return found if any(not engine.threads[number].thread.daemon for number in found) else set()


def deadlock_clause(build: Build, watched: Watched, steps: Sequence[Step], threads: Mapping[int, Standing]) -> str:
    """What each of the stuck threads waits for at the end of a run, with who holds that, or set it last."""
    waits = [
        f"{one.thread} waits for {one.waits_for}{_cause(build, watched, steps, number, one)}" for number, one in threads.items()
    ]
    return f"{DEADLOCK}: " + ("; ".join(waits) or "no thread can go on")


def _cause(build: Build, watched: Watched, steps: Sequence[Step], number: int, standing: Standing) -> str:
    """The place that a condition reads and that was changed last, and by whom; of a lock of septum.host it is said already."""
    if standing.waits_for.endswith("which it holds itself") or " held by " in standing.waits_for:
        return ""
    read = {watched.scalar(access.offset)[0]: access.offset for access in watched.asks(number).read_at_once()}
    for at in range(len(steps) - 1, -1, -1):
        for place in (change.place for change in steps[at].changes if change.place in read):
            holds, itself = _takes(build, watched, at, read[place]), watched.thread(at) == number
            if itself:
                return f": {place}, which it {'holds' if holds else 'set'} itself"
            return f": {place}, {'held by' if holds else 'which was set last by'} {steps[at].thread}"
    return f": {' and '.join(read)}, which nobody has set" if read else ""


def _takes(build: Build, watched: Watched, step: int, offset: int) -> bool:
    """Whether a step takes a lock: it finds the place zero and sets it, and the program of its thread sets it back to zero."""
    accesses = [access for access in watched.recorder.accesses.get(step, []) if access.offset == offset]
    written = [access for access in accesses if access.written]
    if not written or accesses[0].written or accesses[0].value or not written[-1].value:
        return False
    field = [part for part in watched.places.path(offset) if isinstance(part, str)][-1]
    calls = build.threads[watched.thread(step)].calls
    entries = [build.translation.entries[build.translation.entry(one.process, len(one.arguments))] for one in calls]
    nodes = (node for function in tree.called(entries) for node in function.nodes if isinstance(node, tree.Store))
    zeroes = (node.place for node in nodes if isinstance(node.value, tree.Const) and not node.value.number)
    return any(_field(place) == field for place in zeroes)


def _field(place: tree.Place) -> str:
    """The name of the field that a place is, or is in."""
    of: tree.Expression = place
    while isinstance(of, tree.Element):
        of = of.base
    return of.name if isinstance(of, tree.Field) else ""
