"""The registers: operands of SEAMCALL and TDCALL unpacked for the leaves, statuses and results packed; tdx-module.md 4.

A leaf runs on the LP that calls it: `given` holds its registers, `answer` those that it leaves. An operand that is no page
or no private address comes to the leaf as none, and the leaf refuses it where the module does, after the checks before it.
"""

from septum.host.geometry import ENTRY_BITS, Level
from septum.lang import process, u8, u64
from septum.tdx.demote import tdh_mem_page_demote
from septum.tdx.leaves import Leaf
from septum.tdx.mem_page import tdh_mem_page_add, tdh_mem_page_aug, tdh_mem_page_relocate, tdh_mem_page_remove
from septum.tdx.mem_range import tdh_mem_range_block, tdh_mem_range_unblock
from septum.tdx.mem_sept import NO_PAGE, tdh_mem_sept_add, tdh_mem_sept_rd, tdh_mem_sept_remove
from septum.tdx.metadata import tdh_sys_rd
from septum.tdx.mng import (
    tdh_mng_addcx,
    tdh_mng_create,
    tdh_mng_init,
    tdh_mng_key_config,
    tdh_mng_key_freeid,
    tdh_mng_vpflushdone,
    tdh_mr_extend,
    tdh_mr_finalize,
)
from septum.tdx.operands import R8, R12, R13, RAX, RCX, RDX
from septum.tdx.pairs import tdh_phymem_pamt_add, tdh_phymem_pamt_remove
from septum.tdx.pamt import paired
from septum.tdx.phymem import (
    tdh_phymem_cache_wb,
    tdh_phymem_page_rdmd,
    tdh_phymem_page_reclaim,
    tdh_phymem_page_wbinvd,
)
from septum.tdx.platform import Platform, SysState
from septum.tdx.processor import GuestEvent, me, refuse
from septum.tdx.promote import tdh_mem_page_promote
from septum.tdx.sept import walk
from septum.tdx.status import (
    TDX_OPERAND_INVALID,
    TDX_SUCCESS,
    TDX_SYS_NOT_READY,
)
from septum.tdx.sys import (
    before_ready,
    tdh_sys_config,
    tdh_sys_info,
    tdh_sys_init,
    tdh_sys_key_config,
    tdh_sys_lp_init,
    tdh_sys_lp_shutdown,
    tdh_sys_tdmr_init,
)
from septum.tdx.tracking import tdh_mem_track
from septum.tdx.unpack import (
    ADDRESS_OPERAND,
    gfn_operand,
    level_operand,
    page_operand,
    range_operand,
    source_operand,
    tdr_operand,
    without_hkid,
)
from septum.tdx.versions import PROMOTE_EXCLUSIVE
from septum.tdx.vp import enter_guest, tdh_vp_addcx, tdh_vp_create, tdh_vp_flush, tdh_vp_init, vcpu_of

HANDLE_RESERVED = 0xFFF0000000000FFE


@process
def seamcall(m: Platform):
    """One SEAMCALL of this LP: RAX says which leaf."""
    lp = m.lp[me()]
    begin_call(m)
    status = dispatchable(m)
    if status == TDX_SUCCESS:
        status = yield from leaf_function(m)
    lp.status = status


def begin_call(m):
    """The answer is the registers as they were, until the leaf says otherwise."""
    lp = m.lp[me()]
    copy(lp.answer, lp.given)
    lp.low = 0
    lp.malformed = 0
    lp.tdr = 0
    lp.tdr_operand = 0
    lp.event = GuestEvent.NONE


def copy(to, of):
    """Register by register."""
    to.rax = of.rax
    to.rcx = of.rcx
    to.rdx = of.rdx
    to.r8 = of.r8
    to.r9 = of.r9
    to.r10 = of.r10
    to.r11 = of.r11
    to.r12 = of.r12
    to.r13 = of.r13


def dispatchable(m):
    """tdx-module.md 4.1: the leaf number and version, and whether the module is ready for it."""
    lp = m.lp[me()]
    if lp.given.rax >> 24 != 0 or not is_leaf(lp.given.rax & 0xFFFF):
        return refuse(m, TDX_OPERAND_INVALID, RAX)
    lp.leaf = Leaf(lp.given.rax & 0xFFFF)
    lp.version = u8((lp.given.rax >> 16) & 255)
    if lp.version > newest(lp.leaf):
        if lp.leaf in (Leaf.MEM_SEPT_ADD, Leaf.MEM_PAGE_PROMOTE, Leaf.MEM_SEPT_REMOVE):
            lp.answer.rcx = 0
            lp.answer.rdx = 0
            if lp.leaf != Leaf.MEM_SEPT_ADD:
                no_l2_pages(lp.answer)
        return refuse(m, TDX_OPERAND_INVALID, RAX)
    if m.sys.state != SysState.READY and not before_ready(lp.leaf):
        return refuse(m, TDX_SYS_NOT_READY, 0)
    return TDX_SUCCESS


KNOWN = sum(1 << number for number in Leaf)


def is_leaf(number: u64):
    """Whether the emulator has a leaf of this number."""
    return number < 64 and KNOWN >> (number & 63) & 1 != 0


def newest(leaf: Leaf):
    """The newest version of a leaf."""
    if leaf in (Leaf.MEM_SEPT_ADD, Leaf.MEM_SEPT_REMOVE, Leaf.MEM_PAGE_PROMOTE, Leaf.VP_INIT, Leaf.SYS_INIT):
        return 1
    return 0


@process
def leaf_function(m: Platform):
    """Calls the leaf with its operands; the status."""
    leaf = m.lp[me()].leaf
    if leaf in (Leaf.MEM_SEPT_ADD, Leaf.MEM_SEPT_REMOVE, Leaf.MEM_SEPT_RD, Leaf.MEM_PAGE_AUG, Leaf.MEM_PAGE_REMOVE,
                Leaf.MEM_PAGE_ADD, Leaf.MEM_PAGE_RELOCATE, Leaf.MEM_PAGE_PROMOTE, Leaf.MEM_PAGE_DEMOTE,
                Leaf.MEM_RANGE_BLOCK, Leaf.MEM_RANGE_UNBLOCK, Leaf.MR_EXTEND):  # fmt: skip
        return (yield from memory_leaf(m))
    if leaf in (Leaf.VP_ENTER, Leaf.VP_CREATE, Leaf.VP_ADDCX, Leaf.VP_INIT, Leaf.VP_FLUSH):
        return (yield from vcpu_leaf(m))
    if leaf in (Leaf.PHYMEM_PAGE_RECLAIM, Leaf.PHYMEM_PAGE_WBINVD, Leaf.PHYMEM_PAGE_RDMD, Leaf.PHYMEM_CACHE_WB,
                Leaf.PHYMEM_PAMT_ADD, Leaf.PHYMEM_PAMT_REMOVE):  # fmt: skip
        return (yield from physical_leaf(m))
    if leaf in (Leaf.SYS_INIT, Leaf.SYS_LP_INIT, Leaf.SYS_CONFIG, Leaf.SYS_KEY_CONFIG, Leaf.SYS_TDMR_INIT,
                Leaf.SYS_LP_SHUTDOWN, Leaf.SYS_INFO, Leaf.SYS_RD):  # fmt: skip
        return (yield from system_leaf(m))
    return (yield from td_leaf(m))


@process
def memory_leaf(m: Platform):
    """Leaves on an S-EPT entry: GPA and level in RCX, TDR in RDX, a page in R8."""
    lp = m.lp[me()]
    leaf = lp.leaf
    lp.answer.rcx = 0
    lp.answer.rdx = 0
    if lp.version == 1 and leaf != Leaf.MEM_SEPT_ADD:
        no_l2_pages(lp.answer)
    handle = leaf in (Leaf.MEM_SEPT_ADD, Leaf.MEM_PAGE_DEMOTE, Leaf.MEM_SEPT_RD)
    if handle and lp.given.rdx & HANDLE_RESERVED != 0:
        return refuse(m, TDX_OPERAND_INVALID, RDX)
    vm = tdr_operand(m, lp.given.rdx & ~1 & NO_PAGE if handle else lp.given.rdx, RDX)
    gfn = gfn_operand(m)
    level = level_operand(m, vm)
    if leaf not in (Leaf.MEM_PAGE_ADD, Leaf.MR_EXTEND):
        status = walk(m, vm, gfn, level, takes_tree_exclusively(leaf))
        if status != TDX_SUCCESS:
            return status
        yield
    if leaf == Leaf.MEM_PAGE_AUG:
        page = page_operand(m, lp.given.r8, R8, level)
        return (yield from tdh_mem_page_aug(m, vm, gfn, level, page))
    if leaf == Leaf.MEM_SEPT_ADD:
        page = page_operand(m, lp.given.r8 & (EXISTING - 1), R8, Level(1))
        return (yield from tdh_mem_sept_add(m, vm, gfn, level, page))
    if leaf == Leaf.MEM_RANGE_BLOCK:
        return (yield from tdh_mem_range_block(m, vm, gfn, level))
    if leaf == Leaf.MEM_RANGE_UNBLOCK:
        return (yield from tdh_mem_range_unblock(m, vm, gfn, level))
    if leaf == Leaf.MEM_PAGE_REMOVE:
        return (yield from tdh_mem_page_remove(m, vm, gfn, level))
    if leaf == Leaf.MEM_SEPT_REMOVE:
        return (yield from tdh_mem_sept_remove(m, vm, gfn, level))
    if leaf == Leaf.MEM_SEPT_RD:
        return (yield from tdh_mem_sept_rd(m, vm, gfn, level))
    if leaf == Leaf.MEM_PAGE_PROMOTE:
        return (yield from tdh_mem_page_promote(m, vm, gfn, level))
    if leaf == Leaf.MR_EXTEND:
        return (yield from tdh_mr_extend(m, vm, gfn, level))
    page = page_operand(m, lp.given.r8, R8, Level(1))
    if leaf == Leaf.MEM_PAGE_DEMOTE:
        page0 = page_operand(m, lp.given.r12, R12, Level(1))
        page1 = page_operand(m, lp.given.r13, R13, Level(1))
        return (yield from tdh_mem_page_demote(m, vm, gfn, level, page, page0, page1))
    if leaf == Leaf.MEM_PAGE_ADD:
        source_operand(m)
        return (yield from tdh_mem_page_add(m, vm, gfn, level, page))
    return (yield from tdh_mem_page_relocate(m, vm, gfn, level, page))


EXISTING = 1 << 63


def takes_tree_exclusively(leaf: Leaf):
    """Whether a leaf locks the S-EPT tree exclusively."""
    if leaf == Leaf.MEM_PAGE_PROMOTE:
        return PROMOTE_EXCLUSIVE != 0
    return leaf in (Leaf.MEM_RANGE_BLOCK, Leaf.MEM_RANGE_UNBLOCK, Leaf.MEM_SEPT_REMOVE)


def no_l2_pages(answer):
    """Version 1 of a leaf that frees tables: there were none of L2 VMs."""
    answer.r9 = NO_PAGE
    answer.r10 = NO_PAGE
    answer.r11 = NO_PAGE


@process
def td_leaf(m: Platform):
    """Leaves on a TD as a whole."""
    lp = m.lp[me()]
    if lp.leaf == Leaf.MNG_CREATE:
        page = page_operand(m, lp.given.rcx, RCX, Level(1))
        return (yield from tdh_mng_create(m, page, lp.given.rdx))
    if lp.leaf == Leaf.MNG_ADDCX:
        page = page_operand(m, lp.given.rcx, RCX, Level(1))
        vm = tdr_operand(m, lp.given.rdx, RDX)
        return (yield from tdh_mng_addcx(m, vm, page))
    if lp.leaf == Leaf.MNG_INIT:
        vm = tdr_operand(m, lp.given.rcx & ~1 & NO_PAGE, RCX)
        lp.answer.rcx = 0
        return (yield from tdh_mng_init(m, vm))
    vm = tdr_operand(m, lp.given.rcx, RCX)
    if lp.leaf == Leaf.MEM_TRACK:
        return (yield from tdh_mem_track(m, vm))
    if lp.leaf == Leaf.MNG_KEY_CONFIG:
        return (yield from tdh_mng_key_config(m, vm))
    if lp.leaf == Leaf.MR_FINALIZE:
        return (yield from tdh_mr_finalize(m, vm))
    if lp.leaf == Leaf.MNG_VPFLUSHDONE:
        return (yield from tdh_mng_vpflushdone(m, vm))
    return (yield from tdh_mng_key_freeid(m, vm))


@process
def vcpu_leaf(m: Platform):
    """Leaves on a vCPU."""
    lp = m.lp[me()]
    if lp.leaf == Leaf.VP_CREATE:
        page = page_operand(m, lp.given.rcx, RCX, Level(1))
        vm = tdr_operand(m, lp.given.rdx, RDX)
        return (yield from tdh_vp_create(m, vm, page))
    if lp.leaf == Leaf.VP_ADDCX:
        page = page_operand(m, lp.given.rcx, RCX, Level(1))
        tdvpr = page_operand(m, lp.given.rdx, RDX, Level(1))
        return (yield from tdh_vp_addcx(m, vcpu_of(m, tdvpr), tdvpr, page))
    if lp.leaf == Leaf.VP_ENTER:
        tdvpr = page_operand(m, lp.given.rcx & ADDRESS_OPERAND, RCX, Level(1))
        return (yield from enter_guest(m, vcpu_of(m, tdvpr), tdvpr))
    tdvpr = page_operand(m, lp.given.rcx, RCX, Level(1))
    if lp.leaf == Leaf.VP_INIT:
        return (yield from tdh_vp_init(m, vcpu_of(m, tdvpr), tdvpr))
    return (yield from tdh_vp_flush(m, vcpu_of(m, tdvpr), tdvpr))


@process
def physical_leaf(m: Platform):
    """Leaves on physical memory."""
    lp = m.lp[me()]
    if lp.leaf in (Leaf.PHYMEM_PAMT_ADD, Leaf.PHYMEM_PAMT_REMOVE):
        if not paired(m):
            return refuse(m, TDX_OPERAND_INVALID, RAX)
        r = range_operand(m)
        if lp.malformed != 0:
            return refuse(m, TDX_OPERAND_INVALID, RCX)
        if lp.leaf == Leaf.PHYMEM_PAMT_REMOVE:
            return (yield from tdh_phymem_pamt_remove(m, r))
        page0 = page_operand(m, lp.given.rdx, RDX, Level(1))
        page1 = page_operand(m, lp.given.r8, R8, Level(1))
        return (yield from tdh_phymem_pamt_add(m, r, page0, page1))
    if lp.leaf == Leaf.PHYMEM_CACHE_WB:
        return (yield from tdh_phymem_cache_wb(m, lp.given.rcx))
    if lp.leaf == Leaf.PHYMEM_PAGE_WBINVD:
        page = page_operand(m, without_hkid(lp.given.rcx), RCX, Level(1))
        return (yield from tdh_phymem_page_wbinvd(m, page))
    if lp.leaf == Leaf.PHYMEM_PAGE_RDMD:
        least = lp.given.rcx & 7
        page = page_operand(m, lp.given.rcx & ~7 & NO_PAGE, RCX, Level(1))
        nothing_said(lp.answer)
        if least > (2 if paired(m) else 0) or u64(page) % (1 << (ENTRY_BITS * least)) != 0:
            return refuse(m, TDX_OPERAND_INVALID, RCX)
        return (yield from tdh_phymem_page_rdmd(m, page, Level(least + 1)))
    page = page_operand(m, lp.given.rcx, RCX, Level(1))
    nothing_said(lp.answer)
    return (yield from tdh_phymem_page_reclaim(m, page))


def nothing_said(answer):
    """RECLAIM and RDMD describe a page in six registers, which are 0 where they come to none."""
    answer.rcx = 0
    answer.rdx = 0
    answer.r8 = 0
    answer.r9 = 0
    answer.r10 = 0
    answer.r11 = 0


@process
def system_leaf(m: Platform):
    """Leaves on the module."""
    lp = m.lp[me()]
    if lp.leaf == Leaf.SYS_INIT:
        return (yield from tdh_sys_init(m))
    if lp.leaf == Leaf.SYS_LP_INIT:
        return (yield from tdh_sys_lp_init(m))
    if lp.leaf == Leaf.SYS_CONFIG:
        return (yield from tdh_sys_config(m))
    if lp.leaf == Leaf.SYS_KEY_CONFIG:
        return (yield from tdh_sys_key_config(m))
    if lp.leaf == Leaf.SYS_TDMR_INIT:
        return (yield from tdh_sys_tdmr_init(m))
    if lp.leaf == Leaf.SYS_RD:
        return (yield from tdh_sys_rd(m))
    if lp.leaf == Leaf.SYS_INFO:
        return (yield from tdh_sys_info(m))
    return (yield from tdh_sys_lp_shutdown(m))
