"""The registers of the emulator: malformed operands, locks that are lost with their operand id, versions, what fails for good."""

from __future__ import annotations

import gc
import weakref

import pytest

from septum.lang import UserError
from septum.tdx import Geometry, GuestLeaf, Host, Leaf, Module, ModuleStopped
from septum.tdx.bringup import expect
from septum.tdx.processor import GuestEvent
from septum.tdx.status import CODES, Status, named
from tests.tdx import reference as ref

GPA = 1 << 30
PAGE = 4096


def made(*, dynamic: bool = False, vcpus: int = 1, finalized: bool = True, **options):
    """A host, and a TD with a page table for GPA."""
    host = Host(Module(dynamic_pamt=dynamic, cmrs=((1 << 30, 1 << 30),), **options), dynamic=dynamic)
    td = host.td(vcpus=vcpus, finalized=finalized)
    td.link(GPA)
    return host.module, host, td


def name(status: str, operand: str = "") -> int:
    return CODES[Status[f"TDX_{status}"]] + (ref.OPERANDS[operand] if operand else 0)


def test_a_word_is_named_with_what_its_low_bits_say():
    assert named(0x8000020000000092) == "TDX_OPERAND_BUSY | 0x92"
    assert named(0) == "TDX_SUCCESS"
    assert named(0x1234567800000000) == "0x1234567800000000"


@pytest.mark.parametrize("engine", ["c", "python"])
def test_a_module_goes_with_the_last_who_holds_it(engine):
    module = Module(engine=engine, cmrs=((1 << 30, 1 << 30),))
    module.seamcall(Leaf.SYS_INIT)
    seen = weakref.ref(module)
    gc.disable()
    try:
        del module
        assert seen() is None
    finally:
        gc.enable()


def test_modules_that_wait_for_the_collector_leave_room_for_more():
    gc.disable()
    try:
        for _ in range(200):
            module = Module(cmrs=((1 << 30, 1 << 30),))
            module.itself = module  # type: ignore[attr-defined]
    finally:
        gc.enable()
    assert module.seamcall(Leaf.SYS_INIT).ok


@pytest.mark.parametrize("rax", [37, 63, 1 << 24, 3 | 2 << 16, 6 | 1 << 16, 300])
def test_an_unknown_leaf_or_version_is_an_invalid_rax(rax):
    module, _, _ = made()
    assert module.seamcall(rax).status == name("OPERAND_INVALID")


def test_a_module_that_is_not_ready_says_so():
    module = Module(cmrs=((1 << 30, 1 << 30),))
    assert module.seamcall(Leaf.MEM_TRACK).status == name("SYS_NOT_READY")
    assert module.seamcall(Leaf.SYS_CONFIG, rdx=0).status == name("SYS_CONFIG_NOT_PENDING")
    host = Host(module)
    expect(module.seamcall(Leaf.SYS_LP_SHUTDOWN))
    expect(module.seamcall(Leaf.MNG_CREATE, rcx=host.page(), rdx=33))


@pytest.mark.parametrize(
    ("rcx", "status"),
    [(GPA | 8, "OPERAND_INVALID"), (GPA | 1 << 52, "OPERAND_INVALID"), (GPA | 1 << 47, "OPERAND_INVALID"),
     (GPA | 5, "OPERAND_INVALID"), (GPA + PAGE | 1, "OPERAND_INVALID"), (2 * GPA, "EPT_WALK_FAILED")],
)  # fmt: skip
def test_a_gpa_that_is_none_is_an_invalid_rcx(rcx, status):
    module, _, td = made()
    assert module.seamcall(Leaf.MEM_SEPT_RD, rcx=rcx, rdx=td.tdr).status == name(status, "RCX")


def test_the_tdr_is_looked_at_before_the_gpa_and_the_gpa_before_the_page():
    module, host, td = made()
    page = host.page()
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=page, r8=1).status == name("PAGE_METADATA_INCORRECT", "RDX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=td.tdr + 1, r8=1).status == name("OPERAND_INVALID", "RDX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=1 << 45, r8=1).status == name("OPERAND_INVALID", "RDX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=0, r8=1).status == name("OPERAND_ADDR_RANGE_ERROR", "RDX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=td.tdr, r8=1).status == name("OPERAND_INVALID", "RCX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=1).status == name("OPERAND_INVALID", "R8")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=0).status == name("OPERAND_ADDR_RANGE_ERROR", "R8")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=td.tdr).status == name("OPERAND_BUSY", "R8")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=td.pages[0]).status == name("PAGE_METADATA_INCORRECT", "R8")
    reserved = host.tdmrs[0].reserved[0][0]
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=reserved).status == name("PAGE_METADATA_INCORRECT", "R8")


def test_sept_add_version_1_and_the_flag_allow_existing():
    module, host, td = made()
    page, upper = host.page(), GPA | 1
    add, free = Leaf.MEM_SEPT_ADD, 2 * GPA | 2
    every = (1 << 64) - 1
    none = {"r9": every, "r10": every, "r11": every}
    assert module.seamcall(add, rcx=upper, rdx=td.tdr, r8=page).status == name("EPT_ENTRY_STATE_INCORRECT", "RCX")
    assert module.seamcall(add, rcx=upper, rdx=td.tdr | 1, r8=page).ok
    assert module.seamcall(add | 1 << 16, rcx=upper, rdx=td.tdr | 1, r8=page, **none).r8 == page | 1 << 63
    assert module.seamcall(add, rcx=upper, rdx=td.tdr | 2, r8=page).status == name("OPERAND_INVALID", "RDX")
    assert module.seamcall(add, rcx=free, rdx=td.tdr, r8=every).status == name("OPERAND_INVALID", "R8")
    assert module.seamcall(add | 1 << 16, rcx=free, rdx=td.tdr, r8=every).status == name("EPT_ENTRY_STATE_INCORRECT", "RCX")
    assert module.seamcall(add | 1 << 16, rcx=upper, rdx=td.tdr, r8=every, **none).ok
    for operand in none:
        wrong = {**none, operand: page}
        refused = module.seamcall(add | 1 << 16, rcx=free, rdx=td.tdr, r8=page, **wrong)
        assert refused.status == name("OPERAND_INVALID") + int(operand[1:])
    assert module.seamcall(add | 1 << 16, rcx=free, rdx=td.tdr, r8=page, **none).r8 == every


def test_registers_of_a_leaf_on_an_entry_are_cleared_first():
    module, host, td = made()
    answer = module.seamcall(Leaf.MEM_SEPT_ADD, rcx=GPA | 1, rdx=td.tdr | 2, r8=host.page())
    assert (answer.status, answer.rcx, answer.rdx) == (name("OPERAND_INVALID", "RDX"), 0, 0)


def test_bit_63_of_a_page_is_ignored():
    module, host, td = made()
    assert module.seamcall(Leaf.MEM_SEPT_ADD, rcx=2 * GPA | 2, rdx=td.tdr, r8=host.page() | 1 << 63).ok


@pytest.mark.parametrize(("dynamic", "levels"), [(False, {0}), (True, {0, 1, 2})])
def test_metadata_is_read_above_4k_with_dynamic_pamt_only(dynamic, levels):
    module, _, td = made(dynamic=dynamic)
    for level in range(8):
        answer = module.seamcall(Leaf.PHYMEM_PAGE_RDMD, rcx=td.tdr >> 30 << 30 | level)
        assert (answer.status != name("OPERAND_INVALID", "RCX")) == (level in levels)


def test_memory_of_the_host_has_a_shared_hkid():
    module, host, td = made(finalized=False)
    page, shared, private = host.page(), host.page() | 31 << 40, host.page() | 32 << 40
    add = lambda source: td.call(Leaf.MEM_PAGE_ADD, GPA, r8=page, r9=source).status  # noqa: E731
    assert add(private) == name("OPERAND_INVALID", "R9")
    assert add(shared) == 0
    module.m.td[1].build.op_state = 0
    assert module.seamcall(Leaf.MNG_INIT, rcx=td.tdr, rdx=private).status == name("OPERAND_INVALID", "RDX")
    assert module.seamcall(Leaf.MNG_INIT, rcx=td.tdr, rdx=shared).ok


def test_an_lp_is_in_one_call_at_a_time_and_is_interrupted_there():
    module, _, td = made()
    td.augment(2 * GPA, 1)
    expect(module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0]))
    accepting = module.begin_tdcall(td.vcpus[0], GuestLeaf.MEM_PAGE_ACCEPT, rcx=2 * GPA | 1)
    accepting.step()
    with pytest.raises(UserError, match="LP 0 is in a call"):
        module.access(td.vcpus[0], GPA)
    assert module.interrupt(0) is None
    assert accepting.finish().event is GuestEvent.AGAIN
    assert module.access(td.vcpus[0], GPA).exit_reason == 1
    with pytest.raises(UserError, match="lp=7"):
        module.interrupt(7)


def test_more_vcpus_than_the_emulator_has_numbers_for():
    module, host, td = made(geometry=Geometry(vcpus=1))
    module.m.td[1].build.op_state = 1
    with pytest.raises(ModuleStopped, match=r"more vCPUs than Geometry\.vcpus"):
        module.seamcall(Leaf.VP_CREATE, rcx=host.page(), rdx=td.tdr)


def test_five_levels():
    module = Module(Geometry(levels=5, gfns=1 << 39), cmrs=((1 << 30, 1 << 30),))
    td = Host(module).td()
    gpa = 1 << 50
    td.augment(gpa)
    td.accept(gpa)
    assert td.call(Leaf.MEM_SEPT_RD, gpa).rdx == ref.REPORTED["MAPPED"] << 8
    assert td.call(Leaf.MEM_SEPT_RD, 0, 4).ok
    assert td.call(Leaf.MEM_SEPT_RD, 1 << 51).status == name("OPERAND_INVALID", "RCX")


def test_a_td_is_taken_down_to_the_last_page_and_its_hkid_is_free_again():
    module, host, td = made(vcpus=2)
    td.augment(GPA)
    td.augment(2 * GPA, 1)
    for vcpu in td.vcpus:
        assert module.seamcall(Leaf.MNG_VPFLUSHDONE, rcx=td.tdr).status == name("FLUSHVP_NOT_DONE")
        lp = td.vcpus.index(vcpu)
        assert module.seamcall(Leaf.VP_FLUSH, lp=1 - lp, rcx=vcpu).status == name("VCPU_NOT_ASSOCIATED")
        expect(module.seamcall(Leaf.VP_FLUSH, lp=lp, rcx=vcpu))
    td.vcpus = []
    td.destroy()
    again = host.td()
    assert module.m.td[1].tdr == again.tdr >> 12
    assert not any(module.m.frame[page >> 12].type for page in td.pages)


def test_mistakes_of_a_user_are_said():
    module, _, td = made()
    with pytest.raises(UserError, match="rbx: a call has the registers"):
        module.seamcall(Leaf.MEM_TRACK, rbx=1)
    with pytest.raises(UserError, match="rcx=0x10000000000000000: a register has 64 bits"):
        module.seamcall(Leaf.MEM_TRACK, rcx=1 << 64)
    with pytest.raises(UserError, match="lp=4: there are 4 logical processors"):
        module.seamcall(Leaf.MEM_TRACK, lp=4)
    with pytest.raises(UserError, match="no vCPU with TDVPR"):
        module.access(td.vcpus[0], GPA)
    module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])
    with pytest.raises(UserError, match="LP 0 runs a guest"):
        module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr)
    with pytest.raises(UserError, match="'c' or 'python'"):
        Module(engine="rust")
