"""What is wrong with a design is told by its own lines and its own pools: who slept where it must not, and which pool ran dry."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.evidence import evidence
from septum.check.loading import load
from septum.explore.explore import Budget
from septum.report.calltrace import ending
from septum.report.compare import FIGURES
from septum.report.race import race

pytestmark = pytest.mark.usefixtures("quickly_compiled")

SLEEPS = '''"""What takes a guest page back may sleep: in a mutex, or for memory while it has a spinlock."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.frames import Content, Gfp, Role, free_page
from septum.host.locks import Mutex, SpinLock, mutex_lock, mutex_unlock, spin_lock, spin_unlock
from septum.host.pools import alloc_or_fail
from septum.kvm.design import Design
from septum.lang import Struct, process

design = Design("sleeps", base=dpamt_merged)

@design.vm
class Vm(Struct):
    mutex: Mutex
    spinlock: SpinLock

@process
def takes_the_mutex(m, vm):
    yield from mutex_lock(m, m.vm[vm].design.mutex)
    mutex_unlock(m, m.vm[vm].design.mutex)

@process
def allocates(m, vm):
    yield from spin_lock(m, m.vm[vm].design.spinlock)
    page = yield from alloc_or_fail(m, Gfp.KERNEL, Content.UNDEFINED)
    spin_unlock(m, m.vm[vm].design.spinlock)
    if page != 0:
        free_page(m, page, Role.HAND)

@design.process
def remove_external_spte(m, vm, gfn, level, page):
    yield from takes_the_mutex(m, vm)
    return (yield from dpamt_merged_remove_external_spte(m, vm, gfn, level, page))

dpamt_merged_remove_external_spte = dpamt_merged.function("remove_external_spte")
'''

POOLED = '''"""The pool of a VCPU is one of the VM, filled with what one fault needs."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.frames import Content, Gfp
from septum.host.geometry import CACHE_CAPACITY, PAMT_PAGES, PT64_ROOT_MAX_LEVEL, Pfn
from septum.host.locks import SpinLock, spin_lock, spin_unlock
from septum.host.pools import ENOMEM, OK, MemoryCache, alloc_or_fail, free_list, kvm_mmu_free_memory_cache
from septum.host.pools import kvm_mmu_topup_memory_cache, push
from septum.kvm.design import VCPU_POOL, VM_POOL, Design
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.vmx.tdx import tdx_mem_page_aug, tdx_sept_map_nonleaf_spte
from septum.lang import Struct, process, u8

PAIRS = 2 * PAMT_PAGES * PT64_ROOT_MAX_LEVEL

design = Design("pooled", base=dpamt_merged, sizes={VCPU_POOL: CACHE_CAPACITY, VM_POOL: PAIRS})

class Backing(Struct):
    cnt: u8
    pages: Pfn[PAIRS]

@design.vcpu
class Caches(Struct):
    mmu_external_spt_cache: MemoryCache

@design.vm
class Vm(Struct):
    backing: Backing
    backing_lock: SpinLock

@design.routine
def pair_pool(m, vcpu):
    return m.vm[m.vcpu[vcpu].vm].design.backing

@design.process
def topup_external_cache(m, vcpu, tables):
    error = yield from kvm_mmu_topup_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache, tables)
    if error != OK:
        return error
    vm = m.vcpu[vcpu].vm
    yield
    while m.vm[vm].design.backing.cnt < PAMT_PAGES * tables:
        page = yield from alloc_or_fail(m, Gfp.KERNEL_ACCOUNT, Content.UNDEFINED)
        if page == 0:
            return ENOMEM
        yield from spin_lock(m, m.vm[vm].design.backing_lock)
        push(m, m.vm[vm].design.backing, page)
        spin_unlock(m, m.vm[vm].design.backing_lock)
    return OK

@process
def take(m, vm, page):
    yield from spin_lock(m, m.vm[vm].design.backing_lock)
    error = yield from pamt_get(m, page, m.vm[vm].design.backing)
    spin_unlock(m, m.vm[vm].design.backing_lock)
    return error

@design.process
def link_external_spt(m, vcpu, gfn, level, external):
    yield from take(m, m.vcpu[vcpu].vm, external)
    return (yield from tdx_sept_map_nonleaf_spte(m, m.vcpu[vcpu].vm, gfn, level, external))

@design.process
def set_external_spte(m, vcpu, gfn, level, page):
    yield from take(m, m.vcpu[vcpu].vm, page)
    return (yield from tdx_mem_page_aug(m, m.vcpu[vcpu].vm, gfn, level, page))

@design.routine
def free_external_cache(m, vcpu):
    kvm_mmu_free_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache)

@design.routine
def free_split_cache(m, vm):
    free_list(m, m.vm[vm].design.backing)

@design.routine
def vcpu_pool_pages(m, vcpu):
    return m.vcpu[vcpu].design.mmu_external_spt_cache.nobjs

@design.routine
def vm_pool_pages(m, vm):
    return m.vm[vm].design.backing.cnt
'''


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> str:
        Path(name).write_text(text)
        return name

    return write


@pytest.mark.parametrize("sleeper", ["takes_the_mutex", "allocates"])
def test_who_sleeps_under_a_spinning_lock_is_named_with_the_line_that_called(written, sleeper: str) -> None:
    text = SLEEPS.replace("yield from takes_the_mutex(m, vm)\n    return", f"yield from {sleeper}(m, vm)\n    return")
    found = check(written("sleeps.py", text), "punch_hole")
    assert found.clause.startswith("context")
    lines = text.splitlines()
    called = lines.index(f"    yield from {sleeper}(m, vm)") + 1
    inner = next(number for number, line in enumerate(lines, 1) if f"def {sleeper}(" in line)
    traced = "\n".join(ending(found.counterexample.threads))
    assert f"> remove_external_spte() sleeps.py:{called}" in traced
    assert any(f"> {sleeper}() sleeps.py:{inner + more}" in traced for more in (1, 2, 3))


def test_a_pool_of_the_vm_that_runs_dry_is_what_the_race_shows(written) -> None:
    found = check(written("pooled.py", POOLED), "neighbours")
    assert found.clause.startswith("provision")
    drawn = race(found)
    assert "design.backing.cnt" in drawn
    assert "backing_lock" in drawn


def test_a_pool_of_the_vm_is_counted_as_the_vms(written) -> None:
    """A pair for each of five levels."""
    model = load(written("pooled.py", POOLED))
    assert FIGURES["VM"](evidence(model, Budget(), 1, lambda _: None, judge=False)) == "10"
