"""A design puts functions of its own in the place of the core's, for itself alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.loading import load
from septum.cli.app import main
from septum.designs import dpamt_merged, upstream
from septum.explore.build import build
from septum.kvm.bug import vm_bugged
from septum.kvm.design import Design
from septum.kvm.ops import OPERATIONS
from septum.kvm.seam import pamt as seam_pamt
from septum.kvm.tdp import tdp_mmu
from septum.kvm.vmx import tdx
from septum.lang import UserError, cmpxchg
from septum.lang.replaced import original
from septum.report.diagram import diagram
from septum.translate.tree import Function

HEAD = '''"""Faults allocate the S-EPT page without sleeping, with the entry frozen; where there is none they retry."""

from septum.designs.dpamt_merged import PamtCache
from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.frames import Content, Gfp, Role, take
from septum.host.geometry import PAMT_PAGES, PT64_ROOT_MAX_LEVEL, Pfn
from septum.host.pools import ENOMEM, alloc_or_fail, free_list, kvm_mmu_memory_cache_alloc, topup_list
from septum.kvm.design import VCPU_POOL, Design
from septum.kvm.ops import ops
from septum.kvm.tdp import tdp_mmu
from septum.kvm.tdp.tdp_mmu import init_sp, is_last_spte, set_external_spte, spte_to_pfn, tdp_mmu_alloc_sp
from septum.lang import Struct, process

design = Design("late", base=dpamt_merged, sizes={VCPU_POOL: PAMT_PAGES * PT64_ROOT_MAX_LEVEL})

@design.vcpu
class Caches(Struct):
    pamt_cache: PamtCache

@design.routine
def init_vcpu(m, vcpu):
    pass

@design.process
def topup_external_cache(m, vcpu, tables):
    return (yield from topup_list(m, ops.pair_pool(m, vcpu), PAMT_PAGES * tables, Gfp.KERNEL_ACCOUNT))

@design.routine
def free_external_cache(m, vcpu):
    free_list(m, ops.pair_pool(m, vcpu))

@design.routine
def vcpu_pool_pages(m, vcpu):
    return ops.pair_pool(m, vcpu).cnt
'''
REPLACED = """
@design.replaces(tdp_mmu_alloc_sp)
def alloc_table(m, vcpu, gfn, level):
    spt = yield from kvm_mmu_memory_cache_alloc(m, m.vcpu[vcpu].mmu_shadow_page_cache)
    take(m, spt, Role.HAND, Role.SPT)
    init_sp(m, spt, Pfn(0), gfn, level)
    return spt

@design.replaces(set_external_spte)
def give_late(m, vcpu, gfn, level, new):
    if not is_last_spte(new, level):
        page = yield from alloc_or_fail(m, Gfp.ATOMIC_ACCOUNT, Content.UNDEFINED)
        if page == 0:
            return ENOMEM
        take(m, page, Role.HAND, Role.EXTERNAL)
        m.sp[spte_to_pfn(new)].external_spt = page
    return (yield from set_external_spte(m, vcpu, gfn, level, new))
"""
ASSIGNED = (
    REPLACED.replace("@design.replaces(tdp_mmu_alloc_sp)", "@process")
    .replace("@design.replaces(set_external_spte)", "@process")
    .replace("(yield from set_external_spte(", "(yield from core_set_external_spte(")
    + """
core_set_external_spte = set_external_spte
tdp_mmu.tdp_mmu_alloc_sp = alloc_table
tdp_mmu.set_external_spte = give_late
"""
)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quickly_compiled: None):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        Path("late.py").write_text(HEAD + text)
        return "late.py"

    return write


def test_its_own_functions_run_for_this_design_alone(written) -> None:
    """Where it replaces one and calls the one that it replaced, the core's runs."""
    found = check(written(REPLACED), "same_gfn")
    assert (found.holds, found.states, found.unexecuted) == (True, 7715, (30, 48))
    assert "alloc_table" not in {one.source.name for one in functions("dpamt_merged")}
    assert "tdp_mmu_alloc_sp" not in {one.source.name for one in functions("late.py")}


def test_an_assignment_to_the_core_says_the_same_and_is_undone(written) -> None:
    alloc, give = original(tdp_mmu.tdp_mmu_alloc_sp), original(tdp_mmu.set_external_spte)
    late = check(written(ASSIGNED), "same_gfn")
    assert (late.holds, late.states) == (True, 7715)
    assert (original(tdp_mmu.tdp_mmu_alloc_sp), original(tdp_mmu.set_external_spte)) == (alloc, give)


def test_both_engines_run_them_and_reports_say_whose_place_they_take(written, capsys: pytest.CaptureFixture[str]) -> None:
    """The schedule that the one engine found is drawn by the other."""
    broken = written(REPLACED.replace("Role.HAND, Role.EXTERNAL", "Role.HAND, Role.SPT"))
    found = check(broken, "same_gfn")
    assert found.clause == "custody: page 16 is given to the TDX module as EPT while SPT holds it"
    drawn = diagram(found, width=120)
    assert "give_late(vcpu=1, gfn=0, level=3, new=0x800000000000e907) for set_external_spte() of the core" in drawn
    assert "> give_late() for set_external_spte() of the core late.py:5" in drawn
    main(["show", broken])
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1].startswith(
        "# give_late(), late.py:43, stands in the place of set_external_spte(), septum/kvm/tdp/tdp_mmu.py:"
    )
    main(["show", "--tree", broken, "tdp_mmu_alloc_sp"])
    assert "alloc_table" in capsys.readouterr().out


def functions(name: str) -> list[Function]:
    model = load(name)
    return build(model, model.scenarios[0]).translation.functions


def test_a_design_that_is_based_on_it_has_them_and_may_replace_them_again() -> None:
    first = Design("first", base=dpamt_merged)
    second = Design("second", base=first)
    pamt_get = seam_pamt.pamt_get

    @first.replaces(pamt_get)
    def mine(m, page, pool):
        yield

    assert second.bindings()[original(pamt_get)] is mine

    @second.replaces(pamt_get)
    def other(m, page, pool):
        return (yield from pamt_get(m, page, pool))

    assert second.bindings()[original(pamt_get)] is other
    assert first.bindings()[original(pamt_get)] is mine
    assert original(pamt_get) not in upstream.bindings()


def process_of_two(m, page):
    yield


def routine(m, page):
    pass


class Odd:
    pass


REFUSED = {
    "a word of the language": (cmpxchg, process_of_two, "cmpxchg is no function of septum.host, septum.tdx or septum.kvm"),
    "what is no function": (tdp_mmu.Fault, process_of_two, "Fault is no function of septum.host"),
    "an operation": (OPERATIONS["put_control_page"], process_of_two, "put_control_page is an operation: write @design.process"),
    "other parameters": (
        seam_pamt.pamt_get, process_of_two, r"process_of_two takes \(m, page\), and pamt_get is called with \(m, page, pool\)",
    ),
    "a routine for a process": (tdx.tdx_track, routine, "tdx_track is a process, and routine a routine"),
    "a process for a routine": (vm_bugged, lambda m, vm, error: (yield), "vm_bugged is a routine, and <lambda> a process"),
    "a class for a function": (vm_bugged, Odd, "is no function, and stands in the place of vm_bugged"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_replaced_is_refused(old, new, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Design("mine", base=dpamt_merged).replaces(old)(new)


def test_a_function_is_replaced_once() -> None:
    design = Design("mine", base=dpamt_merged)
    design.replaces(vm_bugged)(lambda m, vm, error: 1)
    with pytest.raises(UserError, match="vm_bugged is replaced twice"):
        design.replaces(vm_bugged)(lambda m, vm, error: 2)


def test_a_number_of_the_core_is_not_assigned_to(written) -> None:
    with pytest.raises(UserError, match=r"late.py: assigns to septum.kvm.tdp.tdp_mmu.RWX, which every design shares"):
        load(written("tdp_mmu.RWX = 3\n"))
    assert tdp_mmu.RWX == 7
