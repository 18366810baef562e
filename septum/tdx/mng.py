"""SEAMCALL leaves on a TD: MNG.CREATE, KEY.CONFIG, ADDCX, INIT, VPFLUSHDONE, KEY.FREEID, MR.EXTEND, MR.FINALIZE; 7.13 - 7.16."""

from septum.host.entry import SEPT_FREE
from septum.host.frames import PageType, Role, fill
from septum.host.geometry import LEVELS, Gfn, Level, Pfn, VmId
from septum.lang import choose, each, process, u8, u64
from septum.tdx.geometry import FEWEST_LEVELS, FIRST_HKID, HKIDS, PACKAGES, WHOLE, Hkid, Package
from septum.tdx.injection import fails, ways
from septum.tdx.keys import KotState, key_lock_exclusive
from septum.tdx.leaves import Leaf, OpState
from septum.tdx.locks import release_exclusive, try_exclusive
from septum.tdx.operands import (
    KET,
    RCX,
    RDX,
    TD_ATTRIBUTES,
    TD_CONFIG,
    TD_EPTP,
    TD_L2_VMS,
    TD_MAX_VCPUS,
    TD_TSC,
    TD_XFAM,
)
from septum.tdx.pamt import assign, explicit, lock_page, unlock_page
from septum.tdx.processor import is_shared, me, refuse
from septum.tdx.sept import SeptState, entry_of, refuse_entry, sept_state, stop_level
from septum.tdx.status import (
    TDX_EPT_ENTRY_NOT_PRESENT,
    TDX_FLUSHVP_NOT_DONE,
    TDX_HKID_NOT_FREE,
    TDX_KEY_CONFIGURED,
    TDX_KEY_GENERATION_FAILED,
    TDX_LIFECYCLE_STATE_INCORRECT,
    TDX_NO_VCPUS,
    TDX_OP_STATE_INCORRECT,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_INVALID,
    TDX_RND_NO_ENTROPY,
    TDX_SUCCESS,
    TDX_TD_FATAL,
    TDX_TD_KEYS_NOT_CONFIGURED,
    TDX_TDCX_NUM_INCORRECT,
    TDX_WBCACHE_NOT_COMPLETE,
)
from septum.tdx.td import Lifecycle, add_children, enter_tdr, leave_tdr
from septum.tdx.versions import MAX_TDCX, MIN_TDCX, SEPT_ROOT_TDCX

HP_TIMEOUT = 1_000_000  # microseconds


@process
def tdh_mng_create(m, page: Pfn, key: u64):
    """TDH.MNG.CREATE: `page` becomes the TDR of a new TD with a private HKID."""
    if key >= HKIDS or key < FIRST_HKID:
        return refuse(m, TDX_OPERAND_INVALID, RDX)
    hkid = Hkid(key)
    status = lock_page(m, page, RCX)
    if status != TDX_SUCCESS:
        return status
    status = creatable(m, hkid)
    if status != TDX_SUCCESS:
        unlock_page(m, page)
        return status
    yield
    vm = free_td(m)
    assign(m, page, Level(1), Role.CONTROL, PageType.TDR, vm)
    td = m.td[vm]
    td.tdr = page
    td.root = 0
    td.lifecycle = Lifecycle.HKID_ASSIGNED
    td.chldcnt = 0
    td.epoch = 0
    td.refcount[0] = 0
    td.refcount[1] = 0
    td.build.op_state = OpState.UNINITIALIZED
    td.build.hkid = hkid
    td.build.fatal = False
    td.build.packages = 0
    td.build.num_tdcx = 0
    td.build.vcpus = 0
    td.build.associated = 0
    td.build.hp_timeout = HP_TIMEOUT
    m.kot[hkid].state = KotState.ASSIGNED
    release_exclusive(m.kot_lock)
    unlock_page(m, page)
    return TDX_SUCCESS


def creatable(m, hkid: Hkid):
    """The checks of CREATE on the HKID; on success the KOT is locked."""
    status = key_lock_exclusive(m)
    if status != TDX_SUCCESS:
        return status
    if m.kot[hkid].state != KotState.FREE:
        status = refuse(m, TDX_HKID_NOT_FREE, 0)
    elif m.sys.no_entropy:
        status = refuse(m, TDX_RND_NO_ENTROPY, 0)
    if status != TDX_SUCCESS:
        release_exclusive(m.kot_lock)
    return status


def free_td(m):
    """A number for a TD; there are as many as HKIDs."""
    for vm in each(VmId):
        if m.td[vm].tdr == 0:
            return vm
    assert False, "scope: there are more TDs than Geometry.tds"
    return VmId(0)


def lock_tdr(m):
    """The TDR operand of a leaf that takes it exclusive and looks at the TD's state itself."""
    lp = m.lp[me()]
    return explicit(m, lp.tdr, lp.tdr_operand, PageType.TDR, Level(1), True)


@process
def tdh_mng_key_config(m, vm: VmId):
    """TDH.MNG.KEY.CONFIG: the key of the TD's HKID on this package; on the last one the TD has its keys."""
    status = lock_tdr(m)
    if status != TDX_SUCCESS:
        return status
    package = m.lp[me()].package
    status = configurable(m, vm, package)
    if status != TDX_SUCCESS:
        leave_tdr(m, vm, True)
        return status
    yield
    td = m.td[vm]
    td.build.packages |= 1 << package
    release_exclusive(m.package[package].key_lock)
    if td.build.packages == (1 << PACKAGES) - 1:
        td.lifecycle = Lifecycle.KEYS_CONFIGURED
    leave_tdr(m, vm, True)
    return TDX_SUCCESS


def configurable(m, vm: VmId, package: Package):
    """The checks of KEY.CONFIG; on success the package is the leaf's, to configure a key."""
    td = m.td[vm]
    if td.build.fatal:
        return refuse(m, TDX_TD_FATAL, 0)
    if td.lifecycle != Lifecycle.HKID_ASSIGNED:
        return refuse(m, TDX_LIFECYCLE_STATE_INCORRECT, 0)
    if td.build.packages & (1 << package) != 0:
        return refuse(m, TDX_KEY_CONFIGURED, 0)
    if not try_exclusive(m.package[package].key_lock):
        return refuse(m, TDX_OPERAND_BUSY, KET)
    if m.sys.no_entropy:
        release_exclusive(m.package[package].key_lock)
        return refuse(m, TDX_KEY_GENERATION_FAILED, 0)
    return TDX_SUCCESS


@process
def tdh_mng_addcx(m, vm: VmId, page: Pfn):
    """TDH.MNG.ADDCX: a page of the TDCS; one of them is the root of the Secure EPT."""
    status = lock_tdr(m)
    if status != TDX_SUCCESS:
        return status
    status = extendable(m, vm, page)
    if status != TDX_SUCCESS:
        leave_tdr(m, vm, True)
        return status
    yield
    td = m.td[vm]
    if td.build.num_tdcx == SEPT_ROOT_TDCX:
        fill(m, page, SEPT_FREE)
        td.root = page
    assign(m, page, Level(1), Role.CONTROL, PageType.TDCX, vm)
    td.build.num_tdcx += 1
    add_children(td, 1)
    unlock_page(m, page)
    leave_tdr(m, vm, True)
    return TDX_SUCCESS


def extendable(m, vm: VmId, page: Pfn):
    """The checks of ADDCX; on success the page is locked."""
    td = m.td[vm]
    if td.build.fatal:
        return refuse(m, TDX_TD_FATAL, 0)
    if td.lifecycle != Lifecycle.KEYS_CONFIGURED:
        return refuse(m, TDX_TD_KEYS_NOT_CONFIGURED, 0)
    if td.build.num_tdcx >= MAX_TDCX:
        return refuse(m, TDX_TDCX_NUM_INCORRECT, 0)
    status = lock_page(m, page, RCX)
    if status == TDX_SUCCESS and td.build.num_tdcx >= MIN_TDCX and td.build.op_state != OpState.UNINITIALIZED:
        unlock_page(m, page)
        return refuse(m, TDX_OP_STATE_INCORRECT, u8(td.build.op_state))
    return status


@process
def tdh_mng_init(m, vm: VmId):
    """TDH.MNG.INIT: the TDCS is set up as TD_PARAMS asks for, the first epoch begins."""
    status = enter_tdr(m, vm, True)
    if status != TDX_SUCCESS:
        return status
    operand = wrong_parameter(m)
    if operand != 0:
        leave_tdr(m, vm, True)
        return refuse(m, TDX_OPERAND_INVALID, operand)
    yield
    td = m.td[vm]
    params = m.lp[me()].params
    td.build.attributes = params.attributes
    td.build.pending_ve_disable = params.attributes & SEPT_VE_DISABLE != 0
    td.build.max_vcpus = params.max_vcpus
    td.build.levels = u8((params.eptp >> 3 & 7) + 1)
    td.build.wide = params.config & 1 != 0
    td.epoch = 1
    td.refcount[0] = 0
    td.refcount[1] = 0
    td.build.vcpus = 0
    td.build.op_state = OpState.INITIALIZED
    leave_tdr(m, vm, True)
    return TDX_SUCCESS


ATTRIBUTES = (
    1 << 63 | 1 << 31 | 1 << 30 | 1 << 29 | 1 << 28 | 1
)  # that a TD may have: PERFMON, KL, PKS, MIGRATABLE, SEPT_VE_DISABLE, DEBUG
SEPT_VE_DISABLE = 1 << 28
XFAM_FIXED, XFAM = 3, 0x000000000006DBE7
CONFIG_FLAGS = 7  # GPAW, FLEXIBLE_PENDING_VE, NO_RBP_MOD


def wrong_parameter(m):
    """The first operand of MNG.INIT that is not as it has to be: RDX, or a field of TD_PARAMS; 0 if all are."""
    lp = m.lp[me()]
    params = lp.params
    if lp.given.rdx % 1024 != 0 or not is_shared(lp.given.rdx):
        return RDX
    if params.attributes & (NUMBER - ATTRIBUTES) != 0:
        return TD_ATTRIBUTES
    if params.xfam & XFAM_FIXED != XFAM_FIXED or params.xfam & (NUMBER - XFAM) != 0:
        return TD_XFAM
    if params.max_vcpus == 0:
        return TD_MAX_VCPUS
    if params.l2_vms != 0:
        return TD_L2_VMS
    walk = params.eptp >> 3 & 7
    wide = params.config & 1 != 0
    if params.eptp & (NUMBER - 0x38) != 6 or (walk != FEWEST_LEVELS - 1 and walk != LEVELS - 1) or (wide and walk != LEVELS - 1):
        return TD_EPTP
    if params.config & (NUMBER - CONFIG_FLAGS) != 0:
        return TD_CONFIG
    return TD_TSC if params.tsc < 4 or params.tsc > 400 else 0


NUMBER = (1 << 64) - 1


@process
def tdh_mr_extend(m, vm: VmId, gfn: Gfn, level: Level):
    """TDH.MR.EXTEND: 256 bytes of a page are measured. No page changes its state: its checks are what is kept."""
    if not WHOLE:
        way = yield choose(lambda: ways(m, Leaf.MR_EXTEND))
        if fails(m, way):
            return m.injection.status
    status = enter_tdr(m, vm, True)
    if status != TDX_SUCCESS:
        return status
    status = measurable(m, vm, gfn, level)
    if status != TDX_SUCCESS:
        leave_tdr(m, vm, True)
        return status
    yield
    leave_tdr(m, vm, True)
    return TDX_SUCCESS


def measurable(m, vm: VmId, gfn: Gfn, level: Level):
    """The walk of MR.EXTEND must find an accessible leaf."""
    if level == 0:
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    at = stop_level(m, vm, gfn, level)
    word = entry_of(m, vm, gfn, at)
    if sept_state(word) != SeptState.MAPPED:
        return refuse_entry(m, TDX_EPT_ENTRY_NOT_PRESENT, word, at)
    return TDX_SUCCESS


@process
def tdh_mr_finalize(m, vm: VmId):
    """TDH.MR.FINALIZE: the TD may run."""
    if not WHOLE:
        way = yield choose(lambda: ways(m, Leaf.MR_FINALIZE))
        if fails(m, way):
            return m.injection.status
    status = enter_tdr(m, vm, True)
    if status != TDX_SUCCESS:
        return status
    if m.td[vm].build.vcpus == 0:
        leave_tdr(m, vm, True)
        return refuse(m, TDX_NO_VCPUS, 0)
    yield
    m.td[vm].build.op_state = OpState.RUNNABLE
    leave_tdr(m, vm, True)
    return TDX_SUCCESS


@process
def tdh_mng_vpflushdone(m, vm: VmId):
    """TDH.MNG.VPFLUSHDONE: no vCPU is associated any more; the HKID is flushed once every package has written back."""
    status = lock_tdr(m)
    if status != TDX_SUCCESS:
        return status
    status = flushable(m, vm)
    if status != TDX_SUCCESS:
        leave_tdr(m, vm, True)
        return status
    yield
    td = m.td[vm]
    td.lifecycle = Lifecycle.BLOCKED
    m.kot[td.build.hkid].state = KotState.FLUSHED
    m.kot[td.build.hkid].dirty = (1 << PACKAGES) - 1
    release_exclusive(m.kot_lock)
    leave_tdr(m, vm, True)
    return TDX_SUCCESS


def flushable(m, vm: VmId):
    """The checks of VPFLUSHDONE; on success the KOT is locked."""
    td = m.td[vm]
    status = key_lock_exclusive(m)
    if status != TDX_SUCCESS:
        return status
    if td.lifecycle not in (Lifecycle.HKID_ASSIGNED, Lifecycle.KEYS_CONFIGURED):
        status = refuse(m, TDX_LIFECYCLE_STATE_INCORRECT, 0)
    elif td.build.associated != 0:
        status = refuse(m, TDX_FLUSHVP_NOT_DONE, 0)
    if status != TDX_SUCCESS:
        release_exclusive(m.kot_lock)
    return status


@process
def tdh_mng_key_freeid(m, vm: VmId):
    """TDH.MNG.KEY.FREEID: the HKID is free again, the TD in TEARDOWN."""
    status = lock_tdr(m)
    if status != TDX_SUCCESS:
        return status
    status = freeable(m, vm)
    if status != TDX_SUCCESS:
        leave_tdr(m, vm, True)
        return status
    yield
    td = m.td[vm]
    m.kot[td.build.hkid].state = KotState.FREE
    td.lifecycle = Lifecycle.TEARDOWN
    release_exclusive(m.kot_lock)
    leave_tdr(m, vm, True)
    return TDX_SUCCESS


def freeable(m, vm: VmId):
    """The checks of FREEID; on success the KOT is locked."""
    td = m.td[vm]
    if td.lifecycle != Lifecycle.BLOCKED:
        return refuse(m, TDX_LIFECYCLE_STATE_INCORRECT, 0)
    status = key_lock_exclusive(m)
    if status == TDX_SUCCESS and m.kot[td.build.hkid].dirty != 0:
        release_exclusive(m.kot_lock)
        return refuse(m, TDX_WBCACHE_NOT_COMPLETE, 0)
    return status
