"""A machine of real size with one design: translated, compiled, its memory, and processes run on it, one or many at a time."""

from __future__ import annotations

import ctypes
import functools
import mmap
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from septum.host.buddy import BUDDY, FRAME_BLOCK, MEMORY, ZONES, FreeBlock, Memory
from septum.host.cpu import CPU_WALK
from septum.host.frames import Role, allocated, moved
from septum.host.geometry import (
    CACHE_CAPACITY,
    ENTRIES,
    EPOCH_BITS,
    FIXED_PAGES,
    FIXED_RANGES,
    GFNS,
    LAZY_RANGES,
    LEVELS,
    PAGES,
    PT64_ROOT_MAX_LEVEL,
    RANGES,
    RCU_QUEUE,
    SEQUENCE_BITS,
    SPREAD,
    THREADS,
    VCPUS,
    VMS,
)
from septum.host.locks import held_steps
from septum.host.rcu import queued
from septum.kvm.mmu.mmu import popped
from septum.kvm.virt.attributes import kvm_vm_ioctl_set_mem_attributes
from septum.kvm.virt.gmem import kvm_gmem_punch_hole
from septum.kvm.vmx.life import kvm_create_vm, kvm_vm_ioctl_create_vcpu, tdx_td_finalize, tdx_td_init, tdx_vcpu_init
from septum.kvm.vmx.populate import tdx_vcpu_init_mem_region
from septum.kvm.x86.vm import close_vcpu, close_vm, kvm_destroy_vm, rcu_softirq
from septum.lang import MEASURING, SeptumError, UserError
from septum.lang.measure import ANSWERED, ENTERED
from septum.lang.model import Model
from septum.lang.processes import MOST_ROUNDS
from septum.lang.struct import allocate
from septum.lang.types import scope
from septum.properties.measures import idle_of_vcpu, idle_of_vm, idle_pairs
from septum.scenarios.world import BUILT
from septum.simulate.actors import (
    check_all,
    check_at_rest,
    faulted,
    forget_vcpu,
    forget_vm,
    give_memory,
    run_guest,
    served,
    touched,
)
from septum.simulate.books import Books
from septum.simulate.costs import Costs
from septum.simulate.hosts import Pattern
from septum.tdx.geometry import COUNT_BITS
from septum.tdx.sept import WALKS_ONCE, Walk
from septum.translate.compile import compiled, load
from septum.translate.translation import Translation
from septum.translate.unit import threads

HERE = Path(__file__).parent
MEASURED: tuple[str, ...] = ("tdh_", "create_td", "release_hkid")
"""What counts as a SEAMCALL; the last two stand for several that KVM makes in a row."""

METERS = {
    "ENTERED": ENTERED, "ANSWERED": ANSWERED, "MOVED": moved, "ALLOCATED": allocated, "HELD": held_steps, "QUEUED": queued,
    "FAULTED": faulted, "SERVED": served, "TOUCHED": touched, "POPPED": popped, "IDLE": idle_of_vcpu,
    "IDLE_OF_VM": idle_of_vm, "IDLE_PAIRS": idle_pairs,
}  # fmt: skip
Processes = tuple[tuple[Callable[..., Any], int], ...]

PROCESSES: Processes = (
    (give_memory, 2), (run_guest, 6), (kvm_create_vm, 1), (tdx_td_init, 1), (kvm_vm_ioctl_create_vcpu, 2), (tdx_vcpu_init, 1),
    (tdx_vcpu_init_mem_region, 4), (tdx_td_finalize, 1), (close_vcpu, 1), (close_vm, 1), (kvm_destroy_vm, 1),
    (kvm_gmem_punch_hole, 3), (kvm_vm_ioctl_set_mem_attributes, 4), (forget_vm, 1), (forget_vcpu, 1), (rcu_softirq, 0),
    (check_all, 0), (check_at_rest, 0),
)  # fmt: skip
MOST_VCPUS = 61  # the CPUs of a model are a set in a word, and three more work for the VMM, in softirq, and check
SEGMENT = 1 << 22  # steps after which a run comes back to Python
MORE, FINISHED, FAILED, STUCK = range(4)
HUGE = 1 << 21


class Broken(SeptumError):
    """A clause of a property does not hold in a simulation, or its threads wait for each other."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a machine: pages of its memory and of the largest TD, TDs and vCPUs that are there at a time, NUMA nodes."""

    pages: int
    gfns: int
    vms: int = 1
    vcpus: int = 1
    zones: int = 1
    levels: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.vcpus <= MOST_VCPUS:
            raise UserError(f"--vcpus {self.vcpus}: 1 to {MOST_VCPUS} can be simulated at a time")
        if self.gfns > 1 << 9 * self.levels - 1:
            raise UserError(f"a TD of {self.gfns * 4 >> 20} GiB has no room below the shared bit of {self.levels} levels")

    def bindings(self) -> dict[object, object]:
        """The sizes of the model for a machine of this shape."""
        return {
            **BUILT, ENTRIES: 512, LEVELS: self.levels, PT64_ROOT_MAX_LEVEL: 5, CACHE_CAPACITY: 40, LAZY_RANGES: 0, SPREAD: 0,
            GFNS: self.gfns, PAGES: self.pages, FIXED_PAGES: self.pages, RANGES: self.pages // 512,
            FIXED_RANGES: self.pages // 512, VMS: self.vms, VCPUS: self.vcpus, THREADS: self.vcpus + 3, RCU_QUEUE: 8,
            EPOCH_BITS: 32, COUNT_BITS: 32, SEQUENCE_BITS: 32, BUDDY: 1, FRAME_BLOCK: FreeBlock, MEMORY: Memory,
            ZONES: self.zones, MEASURING: 1,
            WALKS_ONCE: 1, CPU_WALK: Walk, MOST_ROUNDS: 1 << 40,
        }  # fmt: skip


Job = tuple[int, int, Callable[..., Any], tuple[int, ...]]
"""What a thread does: its number, that of the VM that it works for, a process, arguments."""


class _Call(ctypes.Structure):
    """call_t of runtime.h."""

    _fields_ = [("entry", ctypes.c_uint32), ("arguments", ctypes.c_uint64 * 8)]


class _Block(ctypes.Structure):
    """block_t of driver.c."""

    _fields_ = [("offset", ctypes.c_uint32), ("order", ctypes.c_uint32)]


class Machine:
    """A host without free memory and without VMs at first. Its threads run `processes`, each with so many arguments.

    Numbers of VMs and vCPUs count from 1. Thread n - 1 is that of vCPU n; `vmm` works without one.
    """

    def __init__(self, model: Model, shape: Shape, costs: Costs, processes: Processes = PROCESSES) -> None:
        self.model, self.shape = model, shape
        self.bindings = {**model.bindings, **shape.bindings()}
        self.vmm, self._checker, self._softirq = range(shape.vcpus, shape.vcpus + 3)
        self._threads = shape.vcpus + 3
        self.checked = 0
        with scope(self.bindings):
            self.translation = translated(frozenset(self.bindings.items()), processes)
            translation = self.translation
            self._space = allocate(translation.layout, translation.state_size - translation.world_size)
            self.m: Any = self._space[0]
            _in_large_pages(self._space[1], translation.layout)
            self._state = ctypes.c_void_p(ctypes.addressof(self.m))
        self._library = load(compiled(translation.code, ("-O2", "-DSTRAIGHT", "-DFUEL=0xFFFFFFFFu")))
        for name, result in (
            ("sim_result", ctypes.c_uint64),
            ("sim_clock", ctypes.c_uint64),
            ("sim_seamcalls", ctypes.c_uint64),
            ("sim_books", ctypes.POINTER(Books)),
        ):
            getattr(self._library, name).restype = result
        self._library.sim_reset()
        self._numbers = {entry.source.function: number for number, entry in enumerate(translation.entries)}
        self.leaves = tuple(translation.entered)
        self._library.sim_costs(ctypes.byref(costs.table(self.leaves)))
        self.books: Books = self._library.sim_books().contents
        self._begin(self._softirq, 0, rcu_softirq)

    def give(self, free_at: Iterable[tuple[int, Pattern]]) -> None:
        """Free memory: from a page on, blocks by their offsets in pages and their orders."""
        number = self._numbers[give_memory]
        made: dict[Pattern, Any] = {}
        for page, pattern in free_at:
            if pattern not in made:
                made[pattern] = (_Block * len(pattern))(*(_Block(*block) for block in pattern))
            rc = self._library.sim_give(self._state, self.vmm, number, ctypes.c_uint64(page), len(pattern), made[pattern])
            self._ended(FINISHED if rc else FAILED)
        self.forget()

    def forget(self) -> None:
        """All clocks and books begin anew."""
        self._library.sim_forget()

    def zone(self, number: int, begin: int, end: int) -> None:
        """The pages of a NUMA node."""
        self.m.memory.zone[number].begin, self.m.memory.zone[number].end = begin, end

    def check(self) -> None:
        """Checks the properties of the whole machine, while nothing is in flight; takes no time of the model."""
        for process in (check_all, check_at_rest):
            self._begin(self._checker, 0, process)
            self._ended(self._library.sim_run(self._state, self._checker, self._softirq, ctypes.c_uint64(SEGMENT)))
        self.checked += 1

    def run(self, process: Callable[..., Any], *arguments: int, vm: int = 0, thread: int | None = None) -> int:
        """Runs a process to its end, alone but for softirqs; what it returns. Broken where a clause does not hold."""
        on = self.vmm if thread is None else thread
        self._library.sim_clock(on, ctypes.c_uint64(self.now))
        self._begin(on, vm, process, *arguments)
        while not self._ended(self._library.sim_run(self._state, on, self._softirq, ctypes.c_uint64(SEGMENT))):
            pass
        return int(self._library.sim_result(on))

    def race(self, jobs: Sequence[Job], every: int = SEGMENT, tick: Callable[[], None] = lambda: None) -> list[int]:
        """Runs processes beside each other, in the order of their clocks; what they return. `tick` comes after so many steps."""
        start = self.now
        for thread, vm, process, arguments in jobs:
            self._library.sim_clock(thread, ctypes.c_uint64(start))
            self._begin(thread, vm, process, *arguments)
        while not self._ended(self._library.sim_race(self._state, self._threads, ctypes.c_uint64(every))):
            tick()
        return [int(self._library.sim_result(thread)) for thread, *_ in jobs]

    def clock(self, thread: int) -> int:
        """The time of a thread, in picoseconds."""
        return int(self._library.sim_clock(thread, ctypes.c_uint64(0)))

    @property
    def now(self) -> int:
        """The latest clock, in picoseconds."""
        return max(self.clock(thread) for thread in range(self._threads))

    @property
    def seamcalls(self) -> int:
        """How many SEAMCALLs were made."""
        return int(self._library.sim_seamcalls())

    def pages(self, role: Role) -> int:
        """How many pages have a role now."""
        return int(self.books.pages[role])

    def _begin(self, thread: int, vm: int, process: Callable[..., Any], *arguments: int) -> None:
        call = _Call(self._numbers[process])
        call.arguments[: len(arguments)] = arguments
        self._library.sim_begin(self._state, thread, vm, ctypes.byref(call))

    def _ended(self, code: int) -> bool:
        if code == FAILED:
            site = self.translation.sites[self._library.sim_failure()]
            raise Broken(f"{self.model.name}: {site.message or site.text} ({site.file}:{site.line})")
        if code == STUCK:
            raise Broken(f"{self.model.name}: all threads wait")
        return code == FINISHED


def _in_large_pages(space: memoryview, layout: Any) -> None:
    """What lies densely in memory is mapped by the host of the simulation in large pages where it can: it saves TLB misses."""
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if advice is not None:
        for name in ("frame", "range", "pamt", "vm"):
            begin = getattr(layout, name).offset // HUGE * HUGE
            with suppress(OSError):
                space.obj.madvise(advice, begin, getattr(layout, name).size // HUGE * HUGE)  # type: ignore[attr-defined]


@functools.lru_cache(maxsize=4)
def translated(bindings: frozenset[tuple[object, object]], processes: Processes) -> Translation:
    """The machine in C under the current scope, which is that of `bindings`."""
    from septum.kvm.machine import Machine as World

    sizes = dict(bindings)
    translation = Translation(World, int(str(sizes[THREADS])))
    translation.measured_calls = MEASURED
    numbers = {name: translation.meters.number(meter) for name, meter in METERS.items()}
    for process, arguments in processes:
        translation.entry(process, arguments)
    translation.judge(())
    meters = f"enum {{ {', '.join(f'METER_{name} = {number}' for name, number in numbers.items())} }};\n"
    threads(translation, (), (HERE / "driver.c").read_text(), observer=meters + (HERE / "books.c").read_text())
    return translation
