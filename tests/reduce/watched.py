"""Takes steps of a model that is compiled to tell every access, and compares these with the footprints."""

from __future__ import annotations

import ctypes
import random

from septum.explore.build import Build
from septum.lang.places import Places
from septum.lang.types import scope
from septum.reduce.footprint import Footprint, Footprints
from tests.lang.parity import Step

MOST_ACCESSES, MOST_CALLS_DEEP = 4096, 64
DONE = 0


class Access(ctypes.Structure):
    """access_t of watch.c."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("offset", "site", "word", "piece")] + [
        ("size", ctypes.c_uint8), ("written", ctypes.c_uint8), ("joined", ctypes.c_uint8), ("padding", ctypes.c_uint8 * 5),
    ]  # fmt: skip


class Accesses(ctypes.Structure):
    """accesses_t of watch.c, with room for some."""

    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("count", "room", "atomic", "piece", "pieces", "plain", "nested", "outer")),
        *((name, ctypes.c_uint64) for name in ("reads", "writes")),
        ("at", ctypes.POINTER(Access)), ("between", ctypes.c_void_p), ("of", ctypes.c_void_p),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__(room=MOST_ACCESSES, at=(Access * MOST_ACCESSES)())


def assert_within_footprints(build: Build, seed: int, most_steps: int = 300) -> int:
    """How many accesses a random schedule made, all of them inside of the footprints of their steps."""
    dice, seen = random.Random(seed), 0
    with scope(build.bindings):
        library, footprints = build.watched(), build.footprints()
        places = Places(build.model.world, build.translation.realised)
        state, accesses = ctypes.create_string_buffer(build.initial, len(build.initial)), Accesses()
        for _ in range(most_steps):
            threads = [n for n in range(len(build.threads)) if library.septum_choices(state, n)]
            dice.shuffle(threads)
            for thread in threads:
                allowed = footprint(build, library, state, thread)
                step = Step(dice.randrange(library.septum_choices(state, thread)), -1, 0)
                if library.septum_watch_step(state, thread, ctypes.byref(step), ctypes.byref(accesses)) == DONE:
                    break
            else:
                return seen
            assert accesses.count <= MOST_ACCESSES
            for access in accesses.at[: accesses.count]:
                seen += 1
                path = places.path(access.offset)
                paths = allowed.writes if access.written else allowed.reads
                assert any(names(one, path) for one in footprints.places(paths)), (
                    f"{'.'.join(map(str, path))} is {'written' if access.written else 'read'}: "
                    f"{build.translation.named[access.site]}"
                )
    return seen


def footprint(build: Build, library: ctypes.CDLL, state: ctypes.Array[ctypes.c_char], thread: int) -> Footprint:
    """Of the next step of a thread, with what it does in its callers."""
    spots = (ctypes.c_uint32 * MOST_CALLS_DEEP)()
    found = Footprint()
    for number in reversed(spots[: library.septum_spots(state, thread, spots)]):
        spot = build.tables().stands[number][1]
        found |= spot.step
        if not spot.leaves:
            break
    return found


def names(path: tuple[str | int | None, ...], place: tuple[str | int, ...]) -> bool:
    """Whether a path, with indexes that are not known, names a place."""
    return len(path) == len(place) and all(step is None or step == at for step, at in zip(path, place, strict=True))


__all__ = ["Footprints", "assert_within_footprints"]
