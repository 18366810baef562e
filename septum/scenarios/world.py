"""What scenarios are built from: TDs that run, with their control pages and vCPUs, and the page frames that a scope needs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from septum.host.entry import SEPT_FREE, SHADOW_NONPRESENT_VALUE
from septum.host.frames import CHECKS_CONTENTS, FRAME_CACHE, CacheLines, PageType, Role
from septum.host.geometry import (
    CACHE_CAPACITY,
    DYNAMIC_PAMT,
    ENTRIES,
    FIXED_PAGES,
    FIXED_RANGES,
    LEVELS,
    PAGES,
    PAMT_PAGES,
    RANGES,
    SPREAD,
    THREADS,
    VCPUS,
    VMS,
    Level,
    index_at,
)  # fmt: skip
from septum.host.signals import SIGNALS
from septum.kvm.contents import VmContents
from septum.kvm.design import MACHINE_POOL, VCPU_POOL, VM_POOL
from septum.kvm.exits import KvmRun
from septum.kvm.machine import EXITS, VCPU_LIFE, VCPU_RUN, VM_CONTENTS, VM_LIFE, TdState, VmState
from septum.kvm.tdp.spte import make_nonleaf_spte, make_spte
from septum.kvm.tdp.tdp_mmu import init_sp, table_at
from septum.kvm.versions import KERNEL, V6_19
from septum.kvm.vmx.life import VcpuLife, VmLife
from septum.kvm.vmx.vcpu import kvm_mmu_create
from septum.lang import Call, Scenario, Setup, Size, UserError, Witness, call
from septum.scenarios.inject import inject
from septum.scenarios.scopes import NARROW, WIDE
from septum.tdx.building import TdBuilding, TdvpsBuilding
from septum.tdx.geometry import BUILDS
from septum.tdx.leaves import OpState
from septum.tdx.sept import mapped_leaf, mapped_table, pending_leaf, sept_table
from septum.tdx.td import TD_BUILD, TDVPS_BUILD, Lifecycle

CONTROL_PAGES = 3  # TDR, S-EPT root, mirror root
CREATED_PAGES = 3  # TDR, S-EPT root and mirror root of a VM that is created, beside the TDVPR of each vCPU
SPARE = 4  # so that a leak is found as a leak, when all threads have ended, and not for want of page frames

TWO_VCPUS: Mapping[Size, int] = {VCPUS: 2}
THREE_VCPUS: Mapping[Size, int] = {VCPUS: 3}
FOUR_LEVELS: Mapping[Size, int] = {LEVELS: 4}

ONE_VM: Mapping[str, Any] = {"tables": 3, "pages": 2, "others": 2, "larger": THREE_VCPUS}
"""The scope of the scenarios of one VM without 2M folios: one for all of them, so that one translation serves all."""

WATCHED: Mapping[Any, object] = {CHECKS_CONTENTS: 1, VM_CONTENTS: VmContents, FRAME_CACHE: CacheLines}
"""The sizes of a scenario that follows what pages hold."""

LIVING: Mapping[str, Any] = {**ONE_VM, "sizes": {**WATCHED, EXITS: 1, VCPU_RUN: KvmRun}}
"""The scope of a VM whose userspace looks at exits, and whose guest's data are watched."""

BUILT: Mapping[Any, object] = {
    BUILDS: 1, VM_LIFE: VmLife, VCPU_LIFE: VcpuLife, TD_BUILD: TdBuilding, TDVPS_BUILD: TdvpsBuilding,
    **WATCHED,
}  # fmt: skip
"""The sizes of a scenario that creates its VMs."""


class World:
    """The start of a scenario: hands out fixed pages and ranges, and makes TDs."""

    def __init__(self, setup: Setup, folios: int = 0) -> None:
        self.setup, self.m = setup, setup.m
        self._range = self._vm = self._vcpu = 0
        self._heads = [ENTRIES.value * (number + 1) for number in range(folios)]
        folded = {page for head in self._heads for page in range(head, head + ENTRIES.value)}
        self._pages = (page for page in range(1, FIXED_PAGES.value) if page not in folded)

    def page(self, role: Role) -> int:
        """The next page that has a name of its own."""
        page = next(self._pages)
        self.m.frame[page].role = role
        return page

    def folio(self) -> int:
        """The first page of a 2M folio, which is aligned; they lie in a range of their own."""
        head = self._heads.pop(0)
        for page in range(head, head + ENTRIES.value):
            self.m.frame[page].role = Role.GUEST
        self.range(*range(head, head + ENTRIES.value), closed=True)
        return head

    def range(self, *pages: int, closed: bool) -> int:
        """The next 2M range that has a name, for these pages; where it is closed no other page lies in it."""
        self._range += 1
        self.m.range[self._range].closed = closed
        self.m.range[self._range].placed = len(pages)
        for page in pages:
            self.m.frame[page].range = self._range
        return self._range

    def fill(self, page: int, word: int) -> None:
        for i in range(ENTRIES.value):
            self.m.table[page].word[i] = word

    def vm(self) -> int:
        """The next VM, with nothing in it."""
        self._vm += 1
        return self._vm

    def td(self, apart: bool = False) -> Td:
        """A TD that runs, without private memory. `apart`: no other page lies in the 2M range of its control pages."""
        vm = self.vm()
        kvm, td = self.m.vm[vm], self.m.td[vm]
        tdr, root, mirror = self.page(Role.CONTROL), self.page(Role.CONTROL), self.page(Role.SPT)
        for page, of in ((tdr, PageType.TDR), (root, PageType.TDCX)):
            self.m.frame[page].type = of
            self.m.frame[page].owner = vm
        self.fill(root, SEPT_FREE)
        self.fill(mirror, SHADOW_NONPRESENT_VALUE)
        self.m.sp[mirror].level = LEVELS.value
        td.tdr, td.root, td.lifecycle, td.chldcnt, td.epoch = tdr, root, Lifecycle.KEYS_CONFIGURED, 1, 1
        kvm.state, kvm.mirror_root = VmState.RUNNABLE, mirror
        if BUILDS:
            td.build.op_state, kvm.life.state, kvm.life.root_count = OpState.RUNNABLE, TdState.RUNNABLE, 1
            kvm.life.direct_bits = kvm.life.pre_fault_allowed = True
        if DYNAMIC_PAMT:
            self.back(self.range(tdr, root, closed=apart), 2)
        return Td(self, vm)

    def new_vcpu(self) -> int:
        """The number of a vCPU that the scenario creates."""
        self._vcpu += 1
        return self._vcpu

    def back(self, r: int, users: int) -> None:
        """A pair for a range, with so many users."""
        entry = self.m.pamt[r]
        entry.type, entry.count, self.m.range[r].refcount = PageType.PAMT, users, users
        entry.page0, entry.page1 = self.page(Role.PAIR), self.page(Role.PAIR)
        for page in (entry.page0, entry.page1):
            self.m.frame[page].type = PageType.PAMT

    def join(self, page: int, r: int) -> None:
        """A page that the module uses lies in a range that is backed already."""
        if DYNAMIC_PAMT:
            self.m.frame[page].range = r
            self.m.range[r].placed += 1
            self.m.range[r].refcount += 1
            self.m.pamt[r].count += 1

    def vcpu(self, vm: int) -> int:
        """The next vCPU."""
        self._vcpu += 1
        self.m.vcpu[self._vcpu].vm = vm
        kvm_mmu_create(self.m, self._vcpu)
        if BUILDS:
            self.m.vm[vm].life.root_count += 1
            self.m.vcpu[self._vcpu].life.state, self.m.vcpu[self._vcpu].life.has_root = TdState.INITIALIZED, True
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

    def link(self, gfn: int, level: int, alone: bool = False) -> tuple[int, int]:
        """A table at `level` and those above it, linked in mirror and S-EPT: the mirror table and its S-EPT page, which lies in
        the range of the TDR or, `alone`, in one that it shares with no page so far."""
        for at in range(LEVELS.value - 1, level - 1, -1):
            self._link(gfn, at, alone and at == level)
        spt = table_at(self.world.m, self.vm, gfn, level)
        return spt, self.world.m.sp[spt].external_spt

    def _link(self, gfn: int, level: int, alone: bool) -> None:
        m, above = self.world.m, Level(level + 1)
        parent, i = table_at(m, self.vm, gfn, above), index_at(gfn, above)
        if m.table[parent].word[i] == SHADOW_NONPRESENT_VALUE:
            spt, external = self.world.page(Role.SPT), self.world.page(Role.EXTERNAL)
            init_sp(m, spt, external, gfn, level)
            self.world.fill(spt, SHADOW_NONPRESENT_VALUE)
            self.world.fill(external, SEPT_FREE)
            m.table[sept_table(m, self.vm, gfn, above)].word[i] = mapped_table(external)
            m.table[parent].word[i] = make_nonleaf_spte(spt)
            m.frame[external].type, m.frame[external].owner = PageType.EPT, self.vm
            m.td[self.vm].chldcnt += 1
            if alone and DYNAMIC_PAMT:
                self.world.back(self.world.range(external, closed=False), 1)
            else:
                self.world.join(external, m.frame[m.td[self.vm].tdr].range)

    def maps_huge(self, gfn: int, accepted: bool) -> int:
        """A 2M folio at `gfn`, mapped as a 2M leaf, which the guest has accepted or not; its first page."""
        m, i = self.world.m, index_at(gfn, 2)
        spt, external = self.link(gfn, 2)
        head = self.world.folio()
        m.table[spt].word[i] = make_spte(head, 2)
        m.table[external].word[i] = mapped_leaf(head) if accepted else pending_leaf(head)
        for page in range(head, head + ENTRIES.value):
            m.frame[page].type, m.frame[page].owner = PageType.REG, self.vm
            m.frame[page].refcount = 2 if KERNEL.value < V6_19 else 1  # the inode's, and the mapping's
            m.vm[self.vm].gmem[gfn + page - head] = page
            m.vm[self.vm].huge[gfn + page - head] = True
        m.td[self.vm].chldcnt += ENTRIES.value
        m.pamt[m.frame[head].range].type = PageType.REG
        return head


class Vcpu:
    """A vCPU in a scenario; each has a thread, hence a CPU, of its own."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number

    def runs(self, *calls: tuple[Any, ...], then: Sequence[Call] = ()) -> None:
        """The calls of its thread: a process with its arguments after machine and vCPU; `then`, calls without it."""
        program = [call(process, self.number, *arguments) for process, *arguments in calls]
        self.world.setup.thread(f"vCPU {self.number - 1}", *program, *then)


def scenario(
    title: str,
    *,
    witnesses: Sequence[Witness],
    tables: int,
    pages: int,
    vcpus: int = 2,
    others: int = 0,
    vms: int = 1,
    folios: int = 0,
    linked: int = 0,
    alone: int = 0,
    sizes: Mapping[Any, object] | None = None,
    larger: Mapping[Size, int] = FOUR_LEVELS,
    needs: Sequence[str] = (),
    levels: int = 2,
    few_states: bool = False,
    built: int = 0,
) -> Callable[[Callable[[World], None]], Scenario]:
    """`@scenario("title", ...)`: the function builds the world, and its docstring says what can go wrong in it.

    The scope is what must fit: `tables` at a time, guest `pages`, `vcpus`, and `others`, threads without one; with 2M `folios`
    and `linked` paths of tables to level 2 at the start, some of them `alone` in a 2M range; at least so many `levels` of tables,
    with the root's; `built` VMs are created in the scenario. `larger` are its sizes in the scope `wide`.
    """

    def frames() -> int:
        return pages_needed(tables + deeper(), pages + built * (CREATED_PAGES + VCPUS.value))

    bindings: dict[object, object] = {
        VMS: vms,
        VCPUS: vcpus,
        THREADS: lambda: VCPUS.value + others,
        FIXED_PAGES: lambda: (
            1
            + (VMS.value - built) * control_pages()
            + folios * ENTRIES.value
            + 2 * linked * (LEVELS.value - 2)
            + PAMT_PAGES * alone * DYNAMIC_PAMT.value
        ),
        FIXED_RANGES: lambda: 1 + (VMS.value - built + alone) * DYNAMIC_PAMT.value + folios,
        PAGES: frames,
        RANGES: lambda: (
            FIXED_RANGES.value
            + DYNAMIC_PAMT.value * (SPREAD.value or tables + deeper() + pages + VCPUS.value + others + PAMT_PAGES * folios)
        ),
        **({**BUILT, SPREAD: 2} if built else {}),
        **(sizes or {}),
    }
    bindings |= {size: either(bindings.get(size, size.default), value) for size, value in larger.items()}

    def decorate(start: Callable[[World], None]) -> Scenario:
        begin = beginning(start, frames, folios)
        least = {LEVELS: levels}
        few = few_states and NARROW  # in the larger size it pays to optimise
        return Scenario(start.__name__, title, begin, tuple(witnesses), bindings, frozenset(needs), least, few)

    return decorate


def beginning(start: Callable[[World], None], frames: Callable[[], int], folios: int) -> Callable[[Setup], None]:
    """How a scenario builds its world; UserError where that has fewer page frames than must fit."""

    @functools.wraps(start)
    def begin(setup: Setup) -> None:
        needed = frames()
        if needed > PAGES.value:
            raise UserError(f"{start.__name__} needs {needed} page frames and has {PAGES.value}: raise --pages")
        start(World(setup, folios))
        inject(setup.m)
        setup.m.signals = SIGNALS.value

    return begin


def either(small: object, large: int) -> Callable[[], object]:
    """A size that is another one in the scope `wide`."""
    return lambda: large if WIDE.value else small() if callable(small) else small


def deeper() -> int:
    """The tables that more than three levels add: all GFNs of a VM lie below one."""
    return VMS.value * max(0, LEVELS.value - 3)


def control_pages() -> int:
    """The fixed pages of a TD: TDR, S-EPT root, mirror root, and the pair of the range that the first two lie in."""
    return CONTROL_PAGES + PAMT_PAGES * DYNAMIC_PAMT.value


def pages_needed(tables: int, pages: int) -> int:
    """Page frames of a scope: the fixed ones, every pool full, every table and guest page there with a 2M range of its own."""
    pools = VCPUS.value * (CACHE_CAPACITY.value + VCPU_POOL.value) + VMS.value * VM_POOL.value + MACHINE_POOL.value
    backed = DYNAMIC_PAMT.value * PAMT_PAGES * (tables + pages)
    return FIXED_PAGES.value + pools + 2 * tables + pages + backed + SPARE
