"""HKIDs, vCPUs and pages from their beginning to their end: tdx-module.md 7.14 - 7.18, 10.1, 2.5."""

from __future__ import annotations

import subprocess

import pytest

from septum.tdx import Geometry, Leaf, Module, Status
from septum.tdx.bringup import Host, expect
from septum.tdx.module import translated
from septum.tdx.status import CODES
from septum.translate.compile import compiler
from tests.tdx.test_module import GPA, PAGE, made, name


def bare(packages: int = 1):
    """A host without a TD."""
    module = Module(Geometry(packages=packages), cmrs=((1 << 30, 1 << 30),))
    return module, Host(module)


@pytest.mark.parametrize(("hkid", "status"), [(0, "OPERAND_INVALID"), (31, "OPERAND_INVALID"), (64, "OPERAND_INVALID"),
                                              (1 << 16, "OPERAND_INVALID"), (32, "HKID_NOT_FREE")])  # fmt: skip
def test_a_td_wants_a_private_hkid_that_is_free(hkid, status):
    module, host = bare()
    wanted = name(status, "RDX") if status == "OPERAND_INVALID" else name(status)
    assert module.seamcall(Leaf.MNG_CREATE, rcx=host.page(), rdx=hkid).status == wanted


def test_an_hkid_is_given_once_and_comes_back_after_the_caches_of_every_package_are_written():
    module, host = bare(packages=2)
    td = host.td(vcpus=0, finalized=False)
    assert module.seamcall(Leaf.MNG_CREATE, rcx=host.page(), rdx=td.hkid).status == name("HKID_NOT_FREE")
    assert module.seamcall(Leaf.PHYMEM_CACHE_WB).status == name("NO_HKID_READY_TO_WBCACHE")
    assert module.seamcall(Leaf.PHYMEM_CACHE_WB, rcx=1).status == name("WBCACHE_RESUME_ERROR")
    assert module.seamcall(Leaf.PHYMEM_CACHE_WB, rcx=2).status == name("OPERAND_INVALID", "RCX")
    expect(module.seamcall(Leaf.MNG_VPFLUSHDONE, rcx=td.tdr))
    expect(module.seamcall(Leaf.PHYMEM_CACHE_WB, lp=0))
    assert module.seamcall(Leaf.MNG_KEY_FREEID, rcx=td.tdr).status == name("WBCACHE_NOT_COMPLETE")
    module.interrupt(1)
    assert module.seamcall(Leaf.PHYMEM_CACHE_WB, lp=1).status == name("INTERRUPTED_RESUMABLE")
    module.m.lp[1].interrupt = False
    expect(module.seamcall(Leaf.PHYMEM_CACHE_WB, lp=1, rcx=1))
    expect(module.seamcall(Leaf.MNG_KEY_FREEID, rcx=td.tdr))
    expect(module.seamcall(Leaf.MNG_CREATE, rcx=host.page(), rdx=td.hkid))


def test_keys_are_configured_on_every_package_once():
    module, host = bare(packages=2)
    tdr = host.page()
    expect(module.seamcall(Leaf.MNG_CREATE, rcx=tdr, rdx=40))
    assert module.seamcall(Leaf.MNG_ADDCX, rcx=host.page(), rdx=tdr).status == name("TD_KEYS_NOT_CONFIGURED")
    expect(module.seamcall(Leaf.MNG_KEY_CONFIG, rcx=tdr))
    assert module.seamcall(Leaf.MNG_KEY_CONFIG, rcx=tdr).status == name("KEY_CONFIGURED")
    module.m.sys.no_entropy = True
    assert module.seamcall(Leaf.MNG_KEY_CONFIG, lp=1, rcx=tdr).status == name("KEY_GENERATION_FAILED")
    assert module.seamcall(Leaf.MNG_CREATE, rcx=host.page(), rdx=41).status == name("RND_NO_ENTROPY")
    module.m.sys.no_entropy = False
    expect(module.seamcall(Leaf.MNG_KEY_CONFIG, lp=1, rcx=tdr))
    assert module.seamcall(Leaf.MNG_KEY_CONFIG, lp=1, rcx=tdr).status == name("LIFECYCLE_STATE_INCORRECT")


def test_tdcs_pages_are_counted():
    module, host = bare()
    td = host.td(vcpus=0, finalized=False)
    assert module.seamcall(Leaf.MNG_ADDCX, rcx=host.page(), rdx=td.tdr).status == name("OP_STATE_INCORRECT") + 1
    other = host.page()
    expect(module.seamcall(Leaf.MNG_CREATE, rcx=other, rdx=50))
    expect(module.seamcall(Leaf.MNG_KEY_CONFIG, rcx=other))
    for _ in range(9):
        expect(module.seamcall(Leaf.MNG_ADDCX, rcx=host.page(), rdx=other))
    assert module.seamcall(Leaf.MNG_ADDCX, rcx=host.page(), rdx=other).status == name("TDCX_NUM_INCORRECT")
    assert module.seamcall(Leaf.MNG_INIT, rcx=other, rdx=8).status == name("OPERAND_INVALID", "RDX")


def test_a_vcpu_needs_its_pages_and_a_td_needs_a_vcpu():
    module, host = bare()
    td = host.td(vcpus=0, finalized=False)
    assert module.seamcall(Leaf.MR_FINALIZE, rcx=td.tdr).status == name("NO_VCPUS")
    tdvpr = host.page()
    expect(module.seamcall(Leaf.VP_CREATE, rcx=tdvpr, rdx=td.tdr))
    assert module.seamcall(Leaf.VP_INIT, rcx=tdvpr).status == name("TDCX_NUM_INCORRECT")
    for _ in range(14):
        expect(module.seamcall(Leaf.VP_ADDCX, rcx=host.page(), rdx=tdvpr))
    assert module.seamcall(Leaf.VP_ADDCX, rcx=host.page(), rdx=tdvpr).status == name("TDCX_NUM_INCORRECT")
    expect(module.seamcall(Leaf.VP_INIT | 1 << 16, rcx=tdvpr, r8=7))
    assert module.seamcall(Leaf.VP_INIT, rcx=tdvpr).code == Status.TDX_VCPU_STATE_INCORRECT
    second = host.page()
    expect(module.seamcall(Leaf.VP_CREATE, rcx=second, rdx=td.tdr))
    for _ in range(5):
        expect(module.seamcall(Leaf.VP_ADDCX, rcx=host.page(), rdx=second))
    assert module.seamcall(Leaf.VP_INIT | 1 << 16, rcx=second, r8=7).status == name("X2APIC_ID_NOT_UNIQUE")
    assert module.seamcall(Leaf.VP_ENTER, rcx=tdvpr).status == name("OP_STATE_INCORRECT") + 1
    assert module.seamcall(Leaf.VP_ENTER, rcx=tdvpr | 1 << 54).status == name("OPERAND_INVALID", "RCX")
    expect(module.seamcall(Leaf.MR_FINALIZE, rcx=td.tdr))
    assert module.seamcall(Leaf.VP_ENTER, rcx=second).code == Status.TDX_VCPU_STATE_INCORRECT
    expect(module.seamcall(Leaf.VP_ENTER, rcx=tdvpr))


def test_pages_are_reclaimed_in_teardown_and_the_tdr_last():
    module, host, td = made()
    large = td.augment(2 * GPA, 1)
    reclaim = lambda page: module.seamcall(Leaf.PHYMEM_PAGE_RECLAIM, rcx=page)  # noqa: E731
    live = reclaim(large)
    assert (live.status, live.rcx, live.rdx, live.r8) == (name("LIFECYCLE_STATE_INCORRECT"), 3, td.tdr, 1)
    free = reclaim(host.page())
    assert (free.status, free.rcx, free.rdx) == (name("PAGE_METADATA_INCORRECT", "RCX"), 0, 0)
    assert reclaim(large + 1).status == name("OPERAND_INVALID", "RCX")
    expect(module.seamcall(Leaf.VP_FLUSH, rcx=td.vcpus[0]))
    for leaf in (Leaf.MNG_VPFLUSHDONE, Leaf.PHYMEM_CACHE_WB, Leaf.MNG_KEY_FREEID):
        expect(module.seamcall(leaf, rcx=0 if leaf == Leaf.PHYMEM_CACHE_WB else td.tdr))
    assert module.seamcall(Leaf.MEM_PAGE_REMOVE, rcx=2 * GPA | 1, rdx=td.tdr).status == name("TD_KEYS_NOT_CONFIGURED")
    assert reclaim(td.tdr).status == name("TD_ASSOCIATED_PAGES_EXIST")
    assert reclaim(large + PAGE).status == name("OPERAND_INVALID", "RCX")
    for page in td.pages:
        expect(reclaim(page))
    expect(reclaim(td.tdr))
    assert module.seamcall(Leaf.PHYMEM_PAGE_WBINVD, rcx=td.tdr | 32 << 40).ok


def test_a_page_is_written_back_when_it_is_free():
    module, host, td = made()
    used, large = td.augment(GPA), td.augment(2 * GPA, 1)
    for page in (used, large + PAGE):
        assert module.seamcall(Leaf.PHYMEM_PAGE_WBINVD, rcx=page | 33 << 40).status == name("PAGE_METADATA_INCORRECT", "RCX")
    assert module.seamcall(Leaf.PHYMEM_PAGE_WBINVD, rcx=host.page() | 33 << 40).ok


def test_metadata_of_a_page_is_read():
    module, _, td = made(dynamic=True)
    page, large = td.augment(GPA), td.augment(2 * GPA, 1)
    read = lambda at: module.seamcall(Leaf.PHYMEM_PAGE_RDMD, rcx=at)  # noqa: E731
    assert (read(page).rcx, read(page).rdx, read(page).r8) == (3, td.tdr, 0)
    assert (read(large).rcx, read(large).r8) == (3, 1)
    assert (read(td.tdr).rcx, read(td.tdr).rdx) == (4, 0)
    node = read(page >> 21 << 21 | 1)
    assert node.rcx & 0xFF == 15
    assert read(node.r10).rcx == 15
    expect(td.call(Leaf.MEM_RANGE_BLOCK, GPA))
    assert read(page).r9 == 1


def test_a_translation_outlives_its_entry_until_the_vcpu_has_left():
    module, _, td = made()
    page = td.augment(GPA)
    td.accept(GPA)
    vcpu = td.vcpus[0]
    expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
    assert module.access(vcpu, GPA).rcx == page
    expect(module.seamcall(Leaf.MEM_RANGE_BLOCK, lp=1, rcx=GPA, rdx=td.tdr))
    expect(module.seamcall(Leaf.MEM_TRACK, lp=1, rcx=td.tdr))
    assert module.access(vcpu, GPA).rcx == page, "the epoch changed, the vCPU did not leave"
    assert module.seamcall(Leaf.MEM_TRACK, lp=1, rcx=td.tdr).status == CODES[Status.TDX_PREVIOUS_TLB_EPOCH_BUSY]
    module.interrupt(0)
    expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
    violation = module.access(vcpu, GPA, write=True)
    assert (violation.exit_reason, violation.r8, violation.rcx & 7) == (48, GPA, 2)


def test_another_vcpu_does_not_find_the_translations_of_the_one_before():
    module, _, td = made(vcpus=2)
    one, two = td.vcpus
    td.augment(GPA)
    td.accept(GPA)
    expect(module.seamcall(Leaf.VP_ENTER, rcx=one))
    module.access(one, GPA)
    module.interrupt(0)
    expect(module.seamcall(Leaf.MEM_RANGE_BLOCK, rcx=GPA, rdx=td.tdr))
    expect(module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr))
    expect(module.seamcall(Leaf.VP_ENTER, lp=1, rcx=two))  # of the new epoch
    module.interrupt(1)
    expect(module.seamcall(Leaf.MEM_PAGE_REMOVE, rcx=GPA, rdx=td.tdr))
    expect(module.seamcall(Leaf.VP_FLUSH, lp=1, rcx=two))
    expect(module.seamcall(Leaf.VP_ENTER, rcx=two))  # of the same epoch still, on the LP of the other
    assert module.access(two, GPA).exit_reason == 48


def test_a_pending_page_is_the_hosts_business_if_the_td_says_so():
    module, _, td = made()
    td.augment(GPA)
    module.m.td[1].build.pending_ve_disable = True
    expect(module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0]))
    assert (module.access(td.vcpus[0], GPA).rdx, module.m.lp[0].vcpu) == (6, 0)


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_c_of_the_whole_module_compiles_without_a_warning(dynamic, tmp_path):
    module = Module(dynamic_pamt=dynamic, cmrs=((1 << 30, 1 << 30),))
    with module.scope():
        source = tmp_path / "module.c"
        source.write_text(translated(frozenset(module.bindings.items()), module.geometry.lps).code)
    explorer = ["-Wno-unused-function", "-Wno-unused-variable"]  # what only the explorer behind a model calls
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", *explorer, "-c", "-o", str(tmp_path / "m.o"), str(source)]
    command = [*compiler(), *flags]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[:2000]
