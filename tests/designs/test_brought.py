"""What a design brings along: state of the machine and of each CPU, and a thread of its own beside those of every scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.loading import load
from septum.designs import dpamt_merged
from septum.explore.build import build
from septum.host.cpu import CPU_DESIGN
from septum.kvm.design import Design
from septum.kvm.machine import MACHINE_DESIGN
from septum.lang import Struct, UserError, u8
from septum.report.diagram import diagram

STASH = '''"""Pairs wait in a stash of each CPU, which a worker fills; a fault that finds the stash of its CPU empty retries."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.cpu import me
from septum.host.frames import Content, Gfp, Role, free_page
from septum.host.geometry import CACHE_CAPACITY, PAMT_PAGES, THREADS, Pfn, ThreadId
from septum.host.locks import SpinLock, spin_lock, spin_unlock
from septum.host.pools import EAGAIN, alloc_or_fail, pop, push
from septum.kvm.design import MACHINE_POOL, Design
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.vmx.vcpu import touch
from septum.kvm.x86.vm import close_vcpu, kvm_destroy_vm, rcu_softirq, vm_destroyed
from septum.lang import Struct, Witness, boolean, call, each, reached, u8, when
from septum.scenarios.world import ONE_VM, World, scenario

ran_dry = Witness("ran_dry", "a fault found the stash of its CPU empty and retried")
refilled = Witness("refilled", "the worker put a page into a stash")

design = Design("stash", base=dpamt_merged, sizes={MACHINE_POOL: THREADS * PAMT_PAGES})

class Stash(Struct):
    cnt: u8
    pages: Pfn[PAMT_PAGES]
    lock: SpinLock

@design.cpu
class PerCpu(Struct):
    stash: Stash

@design.machine
class Global(Struct):
    short: boolean[ThreadId]

@design.process
def set_external_spte(m, vcpu, gfn, level, page):
    stash = m.cpu[me()].design.stash
    yield from spin_lock(m, stash.lock)
    if stash.cnt < PAMT_PAGES:
        spin_unlock(m, stash.lock)
        yield
        m.design.short[me()] = True
        reached(ran_dry)
        return EAGAIN
    page0 = pop(m, stash)
    page1 = pop(m, stash)
    spin_unlock(m, stash.lock)
    free_page(m, page0, Role.HAND)
    free_page(m, page1, Role.HAND)
    return (yield from dpamt_merged_set_external_spte(m, vcpu, gfn, level, page))

dpamt_merged_set_external_spte = dpamt_merged.function("set_external_spte")

@design.routine
def machine_pool_pages(m):
    found = 0
    for cpu in each(ThreadId):
        found = found + m.cpu[cpu].design.stash.cnt
    return found

def asked(m):
    for cpu in each(ThreadId):
        if m.design.short[cpu]:
            return True
    return False

@design.thread("kworker")
def refill(m):
    while True:
        yield when(lambda: asked(m))
        for cpu in each(ThreadId):
            yield
            if m.design.short[cpu]:
                yield
                m.design.short[cpu] = False
                for _ in range(PAMT_PAGES):
                    page = yield from alloc_or_fail(m, Gfp.KERNEL, Content.UNDEFINED)
                    stash = m.cpu[cpu].design.stash
                    yield from spin_lock(m, stash.lock)
                    if page != 0 and stash.cnt < PAMT_PAGES:
                        push(m, stash, page)
                        page = Pfn(0)
                        reached(refilled)
                    spin_unlock(m, stash.lock)
                    if page != 0:
                        free_page(m, page, Role.HAND)

@scenario("a vCPU faults beside the worker, and the VM is destroyed",
          witnesses=(ran_dry, refilled, vm_destroyed), **ONE_VM | {"vcpus": 1})
def alone(world: World) -> None:
    """A stash overflows; a fault goes round for ever; the pages of a stash count as pages of the VM."""
    td = world.td()
    for vcpu in td.vcpus(1):
        vcpu.runs((touch, 0), (close_vcpu,))
    td.runs("destroy", call(kvm_destroy_vm, td.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)
'''


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quickly_compiled: None):
    monkeypatch.chdir(tmp_path)

    def write(old: str = "", new: str = "") -> str:
        assert old in STASH
        Path("stash.py").write_text(STASH.replace(old, new))
        return "stash.py"

    return write


def test_a_worker_fills_a_stash_of_each_cpu_and_the_end_of_a_vm_leaves_it_full(written) -> None:
    assert check(written(), "alone").holds


WRONG = {
    "the worker does not look whether there is room": (
        " and stash.cnt < PAMT_PAGES:\n                        push", ":\n                        push", "asserts: index 2",
    ),
    "the stashes are not counted": (
        "found = found + m.cpu[cpu].design.stash.cnt", "pass", "does vm_pool_pages() not count every pool?",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "clause"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_it_is_found(written, old: str, new: str, clause: str) -> None:
    found = check(written(old, new), "alone")
    assert clause in found.clause
    assert "kworker" in diagram(found)


def test_its_thread_is_in_every_scenario_on_a_cpu_of_its_own(written) -> None:
    mine, base = load(written()), load("dpamt_merged")
    scenarios = {one.name: one for one in mine.scenarios}
    for one in base.scenarios[:2]:
        ours, theirs = build(mine, scenarios[one.name]), build(base, one)
        assert [thread.name for thread in ours.threads] == [*(thread.name for thread in theirs.threads), "kworker"]
        assert len(ours.threads) == len(theirs.threads) + 1


def test_a_design_that_is_based_on_another_has_its_threads_and_its_state() -> None:
    first = Design("first", base=dpamt_merged)
    second = Design("second", base=first)

    @first.machine
    class Whole(Struct):
        n: u8

    @first.cpu
    class Each(Struct):
        n: u8

    @first.thread("a")
    def a(m):
        yield

    @first.thread("b")
    def b(m):
        yield

    @second.thread("b")
    def other(m):
        yield

    assert [(one.name, one.calls[0].process) for one in second.threads] == [("a", a), ("b", other)]
    assert (second.bindings()[MACHINE_DESIGN], second.bindings()[CPU_DESIGN]) == (Whole, Each)
    assert not dpamt_merged.threads


def test_what_is_no_thread_is_refused() -> None:
    design = Design("mine", base=dpamt_merged)
    with pytest.raises(UserError, match=r"test_brought.py:\d+: of_a_vcpu\(m, vcpu\) is a thread: a process of the machine alone"):

        @design.thread("a")
        def of_a_vcpu(m, vcpu):
            yield

    with pytest.raises(UserError, match=r"@design\.thread wants a name"):

        @design.thread
        def nameless(m):
            yield
