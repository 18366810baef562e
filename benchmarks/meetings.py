"""Where two threads meet on what they share: docs/scenarios.md.

    python -m benchmarks.meetings [--walks N] [--show MODEL SCENARIO]

Two threads *meet* on an object in a state in which either can go on, where the next step of one writes what the next step of the
other touches there. Each scenario of MODELS is walked at random, from a fixed seed, in the scope `small`: what is found is
a meeting, and what is not found may still be one. Writes the table; `--show` prints the places of one scenario.
"""

from __future__ import annotations

import argparse
import ctypes
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks.families import PAGE, put, scenarios
from septum.check.loading import load
from septum.explore.build import Build, build
from septum.lang import Model, Scenario
from septum.lang.engine import Status
from septum.lang.places import Places
from septum.lang.types import scope

MODELS = ("dpamt_merged", "dpamt_merged_split", "kvm_dpamt_merged_split", "kvm")
WALKS = 60
LONGEST = 400
"""Steps of a walk."""
MOST_ACCESSES = 1 << 13
STEP_WORDS = 6
"""Of a step_t, the first of which is the choice."""
NAMED = 4
"""So many scenarios are named of an object."""


@dataclass(frozen=True)
class Shared:
    """What two threads may share: its name, and the places of the world that are it, `[]` for any index."""

    name: str
    places: tuple[str, ...]
    why_not: str = ""
    """Why nobody meets there."""


OBJECTS = (
    Shared("an entry of a table, a leaf or the link of a table", ("table[].word[]",)),
    Shared("a table: its GFN, its level, what it links", ("sp[].gfn", "sp[].level", "sp[].external_spt")),
    Shared("a root: its count, who holds it", ("sp[].direct.*", "vm[].direct.roots[]", "vm[].mirror_root", "vcpu[].direct.root")),
    Shared("a page of memory: its role, owner, references, PAMT entry of 4K", ("frame[].*",)),
    Shared("a 2M range: its references, whether it is closed", ("range[].*",)),
    Shared("a pair of PAMT pages, the entry of its range", ("pamt[].*", "leaked_pair")),
    Shared("the pool of a VM, at its mutex", ("vm[].design.pamt_cache*",)),
    Shared(
        "the caches of a vCPU",
        ("vcpu[].*cache.*",),
        "met in no walk: they are their vCPU's own",
    ),
    Shared("a memory slot, the array of slots, its generation", ("vm[].memslots.*",)),
    Shared("a guest_memfd file: its pages, its bindings", ("vm[].gmem[]", "vm[].file.*", "vm[].huge[]")),
    Shared("which GFNs are private", ("vm[].shared[]",)),
    Shared(
        "the invalidations of a VM: the count, the range, the sequence",
        ("vm[].invalidate_first", "vm[].invalidate_last", "vm[].mmu_inv*"),
    ),
    Shared("pages of the VMM, as the host's page tables have them", ("vm[].direct.mm.*", "vm[].direct.copy[]")),
    Shared("the dirty bitmap and PML", ("vm[].direct.dirty_bitmap[]", "vcpu[].direct.pml[]")),
    Shared("the counts of a VM: pages of each size, TDP MMU pages", ("vm[].direct.stat[]", "vm[].direct.tdp_mmu_pages")),
    Shared("what a guest's page holds", ("vm[].contents.*", "frame[].cache.*")),
    Shared(
        "requests and kicks of a vCPU, its TLB", ("vcpu[].kicked", "vcpu[].in_guest", "vcpu[].direct.tlb*", "vcpu[].direct.free*")
    ),
    Shared("the tree and the TDCS of a TD: locks, epoch, children", ("td[].*", "tdvps[].*", "zero_step")),
    Shared(
        "the state of a VM: finalized, bugged, its users", ("vm[].state", "vm[].bugged", "vm[].users", "vm[].wait_for_sept_zap")
    ),
    Shared("callbacks of RCU that wait", ("rcu.*",)),
)


class _Access(ctypes.Structure):
    """access_t of watch.c."""

    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("offset", "site", "word", "piece")),
        *((name, ctypes.c_uint8) for name in ("size", "written", "joined", "padding")),
        ("until", ctypes.c_uint32),
    ]  # fmt: skip


class _Accesses(ctypes.Structure):
    """accesses_t of watch.c."""

    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("count", "room", "atomic", "piece", "pieces", "plain", "nested", "outer")),
        ("reads", ctypes.c_uint64), ("writes", ctypes.c_uint64),
        *((name, ctypes.c_void_p) for name in ("at", "between", "of")),
    ]  # fmt: skip


class Walker:
    """Walks a scenario at random and counts, of each scalar, in how many states two threads meet on it."""

    def __init__(self, built: Build, library: ctypes.CDLL) -> None:
        self.built, self.library = built, library
        self.kept = (_Access * MOST_ACCESSES)()
        self.met: Counter[int] = Counter()

    def walk(self, chance: random.Random) -> None:
        state = self.built.initial
        for _ in range(LONGEST):
            ways, touched = [], []
            for thread in range(len(self.built.threads)):
                choices = self.library.septum_choices(state, thread)
                after, accesses = self._step(state, thread, chance.randrange(choices) if choices > 1 else 0)
                if after is not None:
                    ways.append(after)
                    touched.append(accesses)
            if not ways:
                return
            self.met.update(_meetings(touched))
            state = chance.choice(ways)

    def _step(self, state: bytes, thread: int, choice: int) -> tuple[bytes | None, Mapping[int, bool]]:
        """The state after the step, None where it has to wait or fails; what it touched, and whether it wrote that."""
        after = ctypes.create_string_buffer(state, len(state))
        accesses = _Accesses(room=MOST_ACCESSES, at=ctypes.addressof(self.kept))
        step = (ctypes.c_uint32 * STEP_WORDS)(choice)
        if self.library.septum_watch_step(after, thread, ctypes.byref(step), ctypes.byref(accesses)) != Status.DONE.value:
            return None, {}
        touched: dict[int, bool] = {}
        for access in self.kept[: accesses.count]:
            touched[access.offset] = touched.get(access.offset, False) or bool(access.written)
        return after.raw, touched


def _meetings(touched: list[Mapping[int, bool]]) -> Iterator[int]:
    for number, one in enumerate(touched):
        for other in touched[number + 1 :]:
            yield from (offset for offset in one.keys() & other.keys() if one[offset] or other[offset])


def meetings(model: Model, scenario: Scenario, walks: int = WALKS) -> Counter[str]:
    """In how many states, of those walked through, two threads meet on each place of the world, with `[]` for any index."""
    built = build(model, scenario)
    with scope(built.bindings):
        walker, chance = Walker(built, built.watched()), random.Random(scenario.name)
        for _ in range(walks):
            walker.walk(chance)
        places = Places(model.world, built.translation.realised)
        found: Counter[str] = Counter()
        for offset, times in walker.met.items():
            found[place_of(places, offset)] += times
    return found


def place_of(places: Places, offset: int) -> str:
    return "".join("[]" if isinstance(step, int) else f".{step}" for step in places.path(offset)).removeprefix(".")


def object_of(place: str) -> Shared | None:
    """What the place is a part of; None of a lock, whose waiting is its use, and of what is the host's or the scenario's own."""
    return next((one for one in OBJECTS if any(fnmatchcase(place, _escaped(pattern)) for pattern in one.places)), None)


def _escaped(pattern: str) -> str:
    return pattern.replace("[]", "[[]]")


def table(walks: int) -> str:
    """A row an object: the scenarios in which two threads meet there, by how often they were seen to."""
    met: dict[Shared, Counter[str]] = defaultdict(Counter)
    for model in map(load, MODELS):
        for scenario in scenarios(model).values():
            places = meetings(model, scenario, walks)
            print(f"{model.name:24} {scenario.name:24} {len(places):4}", file=sys.stderr, flush=True)
            for place, times in places.items():
                if known := object_of(place):
                    met[known][scenario.name] += times
    return "\n".join(
        ["| what two threads share | where they meet |", "| --- | --- |", *(row(one, met[one]) for one in OBJECTS), ""]
    )


def row(one: Shared, met: Counter[str]) -> str:
    named = [f"`{name}`" for name, _ in met.most_common(NAMED)]
    more = [f"{len(met) - NAMED} more"] if len(met) > NAMED else []
    return f"| {one.name} | {', '.join([*named, *more]) or one.why_not} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walks", type=int, default=WALKS)
    parser.add_argument("--show", nargs=2, metavar=("MODEL", "SCENARIO"))
    options = parser.parse_args()
    if options.show:
        model = load(options.show[0])
        for place, times in meetings(model, scenarios(model)[options.show[1]], options.walks).most_common():
            print(f"{times:8} {place}")
        return
    PAGE.write_text(put(PAGE.read_text(), "meetings", table(options.walks)))


if __name__ == "__main__":
    main()
