"""The same source at real geometry: 2^28 page frames and as many tables of 512 entries, of which a fault touches a few."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator

import pytest

from septum.designs import BUILT_IN
from septum.host.geometry import (
    CACHE_CAPACITY,
    ENTRIES,
    FIXED_PAGES,
    FIXED_RANGES,
    GFNS,
    LAZY_RANGES,
    LEVELS,
    PAGES,
    PT64_ROOT_MAX_LEVEL,
    RANGES,
    THREADS,
    VCPUS,
)
from septum.kvm.tdp.spte import is_shadow_present_pte
from septum.kvm.tdp.tdp_mmu import table_at
from septum.kvm.vmx.vcpu import touch
from septum.lang import Setup
from septum.lang.engine import Engine, Status
from septum.lang.types import scope
from septum.scenarios import kvm_model
from septum.scenarios.world import World
from septum.translate.compile import compiled, load
from septum.translate.translation import Translation
from septum.translate.unit import threads
from tests.lang.parity import Step

REAL = {
    ENTRIES: 512, LEVELS: 4, PT64_ROOT_MAX_LEVEL: 5, CACHE_CAPACITY: 40, GFNS: 1 << 20, PAGES: 1 << 28,
    FIXED_PAGES: 1 << 28, RANGES: 1 << 20, FIXED_RANGES: 1 << 20, LAZY_RANGES: 0, VCPUS: 1, THREADS: 1,
}  # fmt: skip
EXPORT = "int septum_step(uint8_t *state, unsigned thread, step_t *step) { return model_step(state, thread, step); }\n"
GFN = 0x12345


class Memory:
    """A sparse file as large as the world, so that what was touched can be told."""

    def __init__(self, translation: Translation) -> None:
        self.size = translation.state_size
        self.file = os.memfd_create("world")
        os.ftruncate(self.file, self.size)
        self.map = mmap.mmap(self.file, self.size, flags=mmap.MAP_SHARED)
        self.m = translation.layout.from_buffer(self.map)

    def touched(self) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of every part that was touched."""
        at = 0
        while True:
            try:
                begin = os.lseek(self.file, at, os.SEEK_DATA)
            except OSError:
                return
            at = os.lseek(self.file, begin, os.SEEK_HOLE)
            yield begin, self.map[begin:at]

    def content(self) -> dict[int, bytes]:
        """The pages that hold anything but zeros."""
        pages = {}
        for begin, data in self.touched():
            for offset in range(0, len(data), 4096):
                if any(data[offset : offset + 4096]):
                    pages[begin + offset] = data[offset : offset + 4096]
        return pages


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sparse memory is told by memfd, a Linux call")
def test_one_fault_runs_in_both_engines_on_a_terabyte():
    upstream = next(design for design in BUILT_IN if design.name == "upstream")
    model = kvm_model(upstream)
    with scope({**model.bindings, **REAL}):
        translation = Translation(model.world, 1)
        translation.entry(touch, 2)
        translation.judge(())
        library = load(compiled(threads(translation, (), EXPORT)))
        assert translation.world_size > 1 << 40
        by_python, by_c = Memory(translation), Memory(translation)
        programs = [prepare(memory) for memory in (by_python, by_c)]
        engine = Engine(translation, programs[0], (by_python.m, memoryview(by_python.map)))
        steps = run_both(engine, library, by_c, translation)
        assert steps >= 30
        assert engine.threads[0].ended
        for memory in (by_python, by_c):
            leaf = table_at(memory.m, 1, GFN, 1)
            assert is_shadow_present_pte(memory.m.table[leaf].word[GFN % 512])
        python, c = by_python.content(), by_c.content()
        frames = translation.world_size
        assert {k: v for k, v in python.items() if k + 4096 <= frames} == {k: v for k, v in c.items() if k + 4096 <= frames}
        assert sum(map(len, c.values())) < 64 << 20


def prepare(memory):
    setup = Setup(memory.m)
    for vcpu in World(setup).td().vcpus(1):
        vcpu.runs((touch, GFN))
    return setup.threads


def run_both(engine, library, by_c, translation) -> int:
    class Call(ctypes.Structure):
        _fields_ = [("entry", ctypes.c_uint32), ("arguments", ctypes.c_uint64 * 6)]

    library.septum_program(0, 1, ctypes.byref(Call(0, (ctypes.c_uint64 * 6)(1, GFN))))
    address = ctypes.addressof(by_c.m)
    steps = 0
    while not engine.threads[0].ended:
        step = Step(0, -1, 0)
        outcome = library.septum_step(ctypes.c_void_p(address), 0, ctypes.byref(step))
        assert outcome == 0, translation.sites[step.failure]
        assert engine.step(0) is Status.DONE
        frame = ctypes.string_at(address + translation.world_size, translation.frame_size)
        assert frame == engine.frame(0)
        steps += 1
    return steps
