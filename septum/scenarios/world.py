"""What scenarios are built from: TDs that run, with their control pages and vCPUs, and the page frames that a scope needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from septum.host.entry import SEPT_FREE, SHADOW_NONPRESENT_VALUE
from septum.host.frames import Content, PageType, Role
from septum.host.geometry import (
    CACHE_CAPACITY, DYNAMIC_PAMT, ENTRIES, FIXED_PAGES, FIXED_RANGES, LEVELS, PAGES, PAMT_PAGES, RANGES, THREADS, VCPUS, VMS,
)  # fmt: skip
from septum.kvm.design import VCPU_POOL, VM_POOL
from septum.kvm.machine import VmState
from septum.kvm.ops import ops
from septum.lang import Call, Scenario, Setup, Size, UserError, Witness, call
from septum.tdx.td import Lifecycle

CONTROL_PAGES = 3  # TDR, S-EPT root, mirror root


class World:
    """The start of a scenario: hands out fixed pages and ranges, and makes TDs."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.m = setup, setup.m
        self._page = self._range = self._vm = self._vcpu = 0

    def page(self, role: Role) -> int:
        """The next page that has a name of its own."""
        self._page += 1
        if self._page >= FIXED_PAGES.value:
            raise UserError("the scenario has fewer fixed pages than it names")
        self.m.frame[self._page].role = role
        return self._page

    def range(self, *pages: int) -> int:
        """A 2M range of its own for these pages, which no other page lies in."""
        self._range += 1
        self.m.range[self._range].closed = True
        self.m.range[self._range].placed = len(pages)
        for page in pages:
            self.m.frame[page].range = self._range
        return self._range

    def fill(self, page: int, word: int) -> None:
        for i in range(ENTRIES.value):
            self.m.table[page].word[i] = word

    def td(self) -> Td:
        """A TD that runs, without private memory."""
        self._vm += 1
        vm, kvm, td = self._vm, self.m.vm[self._vm], self.m.td[self._vm]
        tdr, root, mirror = self.page(Role.CONTROL), self.page(Role.CONTROL), self.page(Role.SPT)
        for page, of in ((tdr, PageType.TDR), (root, PageType.TDCX)):
            self.m.frame[page].type = of
            self.m.frame[page].owner = vm
        self.fill(root, SEPT_FREE)
        self.fill(mirror, SHADOW_NONPRESENT_VALUE)
        self.m.sp[mirror].level = LEVELS.value
        td.tdr, td.root, td.lifecycle, td.chldcnt, td.epoch = tdr, root, Lifecycle.KEYS_CONFIGURED, 1, 1
        kvm.state, kvm.mirror_root = VmState.RUNNABLE, mirror
        if DYNAMIC_PAMT:
            self.back(self.range(tdr, root), 2)
        return Td(self, vm)

    def back(self, r: int, users: int) -> None:
        """A pair for a range, with so many users."""
        entry = self.m.pamt[r]
        entry.type, entry.count, self.m.range[r].refcount = PageType.PAMT, users, users
        entry.page0, entry.page1 = self.page(Role.PAIR), self.page(Role.PAIR)
        for page in (entry.page0, entry.page1):
            self.m.frame[page].type = PageType.PAMT

    def vcpu(self, vm: int) -> int:
        """The next vCPU."""
        self._vcpu += 1
        vcpu = self.m.vcpu[self._vcpu]
        vcpu.vm = vm
        vcpu.mmu_shadow_page_cache.content = Content.NONPRESENT
        ops.init_vcpu(self.m, self._vcpu)
        self.m.vm[vm].users += 1
        return self._vcpu


class Td:
    """A TD in a scenario."""

    def __init__(self, world: World, vm: int) -> None:
        self.world, self.vm = world, vm

    def vcpus(self, count: int) -> Iterator[Vcpu]:
        for _ in range(count):
            yield Vcpu(self.world, self.world.vcpu(self.vm))

    def runs(self, name: str, *calls: Call) -> None:
        """A thread without a vCPU: an ioctl of the VMM."""
        self.world.setup.thread(name, *calls)


class Vcpu:
    """A vCPU in a scenario; each has a thread, hence a CPU, of its own."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number

    def runs(self, *calls: tuple[Any, ...]) -> None:
        """The calls of its thread: a process with its arguments after machine and vCPU."""
        program = [call(process, self.number, *arguments) for process, *arguments in calls]
        self.world.setup.thread(f"vCPU {self.number - 1}", *program)


def scenario(
    title: str,
    *,
    witnesses: Sequence[Witness],
    tables: int,
    pages: int,
    vcpus: int = 2,
    others: int = 0,
    sizes: Mapping[Size, object] | None = None,
    needs: Sequence[str] = (),
) -> Callable[[Callable[[World], None]], Scenario]:
    """`@scenario("title", ...)`: the function builds the world; the scope is what must fit: `tables` mirror tables that may be linked,
    guest `pages` at a time, `vcpus`, and `others`, threads without a vCPU."""
    bindings: dict[object, object] = {
        VMS: 1,
        VCPUS: vcpus,
        THREADS: lambda: VCPUS.value + others,
        FIXED_PAGES: lambda: 1 + VMS.value * (CONTROL_PAGES + PAMT_PAGES * DYNAMIC_PAMT.value),
        FIXED_RANGES: lambda: 1 + VMS.value * DYNAMIC_PAMT.value,
        PAGES: lambda: pages_needed(tables, pages),
        RANGES: lambda: FIXED_RANGES.value + DYNAMIC_PAMT.value * (tables + pages + VCPUS.value),
        **(sizes or {}),
    }

    def decorate(start: Callable[[World], None]) -> Scenario:
        def begin(setup: Setup) -> None:
            needed = pages_needed(tables, pages)
            if needed > PAGES.value:
                raise UserError(f"{start.__name__} needs {needed} page frames and has {PAGES.value}: raise --pages")
            start(World(setup))

        return Scenario(start.__name__, title, begin, tuple(witnesses), bindings, frozenset(needs))

    return decorate


def pages_needed(tables: int, pages: int) -> int:
    """Page frames of a scope: the fixed ones, every pool full, every table and guest page there with a 2M range of its own."""
    pools = VCPUS.value * (CACHE_CAPACITY.value + VCPU_POOL.value) + VMS.value * VM_POOL.value
    backed = DYNAMIC_PAMT.value * PAMT_PAGES * (tables + pages)
    return FIXED_PAGES.value + pools + 2 * tables + pages + backed
