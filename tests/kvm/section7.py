"""A row of kvm-mmu.md 7 as a test: an action that the right model survives, and the one change that makes it fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from septum.designs import upstream
from septum.host.entry import SEPT_FREE, SHADOW_NONPRESENT_VALUE
from septum.host.frames import Role
from septum.host.geometry import Level
from septum.host.locks import lock_exclusively, lock_shared, unlock_exclusively, unlock_shared
from septum.kvm.machine import Machine, TdState
from septum.kvm.tdp.roots import add_root
from septum.kvm.tdp.spte import make_direct_spte, make_nonleaf_spte, make_spte
from septum.kvm.tdp.tdp_mmu import init_sp, tdp_mmu_set_spte_atomic
from septum.kvm.versions import KERNEL, V6_18
from septum.lang import ModelError, Setup, Violation, scope
from septum.lang.processes import running
from septum.lang.struct import allocate, realise
from septum.lang.types import _scopes
from septum.scenarios.direct import notifier, plain_vm
from septum.scenarios.views import both_views
from septum.scenarios.world import World
from septum.tdx.leaves import OpState
from septum.tdx.td import Lifecycle
from tests.machine import run, world

LEAF, TABLE, EMPTY = Level(1), Level(2), SHADOW_NONPRESENT_VALUE
VM, VCPU = 1, 1


def nothing(_: Any) -> None:
    """What most rows need no more than."""


@dataclass(frozen=True)
class Row:
    """`ids` of the reference; `act` on a world holds, after `given`, and fails with `clause` once `wrong` is done to it too."""

    ids: str
    clause: str
    act: Callable[[Any], object]
    wrong: Callable[[Any], object]
    given: Callable[[Any], object] = nothing
    world: Callable[[], Any] | None = None

    def holds(self, default: Callable[[], Any]) -> None:
        with (self.world or default)() as one:
            self.given(one)
            self.act(one)

    def fails(self, default: Callable[[], Any]) -> None:
        with (self.world or default)() as one:
            self.given(one)
            self.wrong(one)
            with pytest.raises((AssertionError, Violation, ModelError), match=self.clause):
                self.act(one)


class Sets:
    """A world of which a row changes something, in an expression."""

    def sets(self, **fields: object) -> None:
        for name, value in fields.items():
            setattr(self, name, value)

    @staticmethod
    def puts(place: object, **fields: object) -> None:
        for name, value in fields.items():
            setattr(place, name, value)


class Td(Sets):
    """A TD with a vCPU and the table of its first GFNs; a table for the next ones, not linked; a guest page that nobody maps.

    mmu_lock is held for read. `level`, `old` and `new` are what an action is given.
    """

    def __init__(self, made: World) -> None:
        self.made, self.m = made, made.m
        td = made.td()
        made.vcpu(td.vm)
        self.kvm, self.td, self.vcpu = self.m.vm[VM], self.m.td[VM], self.m.vcpu[VCPU]
        td.link(0, 2)
        self.spt, _ = td.link(0, 1)
        self.child = made.page(Role.SPT)
        made.fill(self.child, EMPTY)
        init_sp(self.m, self.child, made.page(Role.EXTERNAL), 2, LEAF)
        self.page = self.guest_page()
        self.sp, self.of_child = self.m.sp[self.spt], self.m.sp[self.child]
        self.level, self.old, self.new, self.measure = LEAF, EMPTY, make_spte(self.page, LEAF), True
        lock_shared(self.kvm.mmu_lock)

    def guest_page(self) -> int:
        page = self.made.page(Role.GUEST)
        self.m.frame[page].refcount = 1
        return page

    def unlock(self) -> None:
        unlock_shared(self.kvm.mmu_lock)

    def for_write(self) -> None:
        self.unlock()
        lock_exclusively(self.kvm.mmu_lock)

    def for_read(self) -> None:
        unlock_exclusively(self.kvm.mmu_lock)
        lock_shared(self.kvm.mmu_lock)

    def maps(self) -> None:
        """The guest page at GFN 0, in mirror and S-EPT."""
        assert not run(tdp_mmu_set_spte_atomic(self.m, VCPU, self.spt, 0, LEAF, EMPTY, self.new))

    def maps_for_write(self) -> None:
        self.maps()
        self.for_write()

    def word(self, value: int) -> None:
        """Says so in the mirror's entry of GFN 0, and nowhere else."""
        self.m.table[self.spt].word[0] = value

    def root_word(self, value: int) -> None:
        self.m.table[self.kvm.mirror_root].word[0] = value

    def forgets_table(self) -> None:
        """The S-EPT has no table where the mirror has one."""
        self.m.table[self.td.root].word[0] = SEPT_FREE

    def torn_down(self) -> None:
        self.for_write()
        self.td.lifecycle = Lifecycle.TEARDOWN

    def builds(self) -> None:
        """The TD is not finalized, all the locks are held, and a source page is there."""
        self.kvm.life.state, self.td.build.op_state = TdState.INITIALIZED, OpState.INITIALIZED
        self.kvm.life.pre_fault_allowed = False
        lock_exclusively(self.kvm.slots_lock)
        lock_exclusively(self.vcpu.life.mutex)
        self.kvm.life.page_add_src = True


@contextmanager
def td(like: str = "neighbours") -> Iterator[Td]:
    with world(like=like, fixed=24) as made:
        yield Td(made)


@contextmanager
def living() -> Iterator[Td]:
    """With vcpu->mutex, the state of the TD and what else a VM has that is built."""
    with td("life") as one:
        yield one


@contextmanager
def erratum() -> Iterator[Td]:
    """The same on a CPU with the partial-write erratum."""
    with td("erratum") as one:
        yield one


@contextmanager
def premapping() -> Iterator[Td]:
    """The same in 6.18, before PAGE.ADD came while the entry is FROZEN."""
    with td("life") as one, scope({**_scopes[-1], KERNEL: V6_18}):
        yield one


class Plain(Sets):
    """A plain VM with a vCPU and a direct root of three levels, in which nothing is mapped. `old`, `new`, `level`, `types` are
    what an action is given."""

    def __init__(self, m: Machine, setup: World) -> None:
        self.m, self.kvm, self.vcpu, self.world = m, m.vm[VM], m.vcpu[VCPU], setup
        list(plain_vm(setup).vcpus(1))
        self.root, self.table, self.spt, self.page = 10, 11, 12, 1
        m.frame[self.root].role = Role.HAND
        add_root(m, VM, self.root)
        for spt, level in ((self.table, 2), (self.spt, 1)):
            m.frame[spt].role, m.sp[spt].level = Role.SPT, level
        for spt in (self.root, self.table, self.spt):
            setup.fill(spt, EMPTY)
        m.table[self.root].word[0], m.table[self.table].word[0] = make_nonleaf_spte(self.table), make_nonleaf_spte(self.spt)
        self.kvm.direct.tdp_mmu_pages = 2
        self.vcpu.direct.root, self.fault = self.root, self.vcpu.direct.fault
        self.fault.slot = self.fault.is_direct = self.fault.map_writable = 1
        self.leaf, self.other = make_direct_spte(self.page, 1, True, False), make_direct_spte(2, 1, True, False)
        self.role, self.gfn, self.level, self.old, self.new, self.types = m.sp[self.root].direct, 0, 1, EMPTY, self.leaf, 0

    def for_read(self) -> None:
        lock_shared(self.kvm.mmu_lock)

    def for_write(self) -> None:
        lock_exclusively(self.kvm.mmu_lock)

    def word(self, value: int) -> None:
        self.m.table[self.spt].word[0] = value


@contextmanager
def plain() -> Iterator[Plain]:
    with scope({**upstream.bindings(), **notifier.bindings}):
        m, _ = allocate(realise(Machine, {}))
        running.thread = 0
        yield Plain(m, World(Setup(m)))


class Views(Sets):
    """A TD with both views, and what its guest does."""

    def __init__(self, made: World) -> None:
        self.m = made.m
        made.vcpu(both_views(made).vm)
        self.acc = 0


@contextmanager
def views() -> Iterator[Views]:
    with world(like="views_fetch") as made:
        yield Views(made)
