"""TLB tracking: TD epoch, VP.ENTER and TD exit, TRACK; tdx-module.md 8."""

from septum.host.cpu import just_me
from septum.host.geometry import Level, Pfn, VcpuId, VmId
from septum.lang import atomic, choose, commutes, process
from septum.tdx.geometry import MOVES, WHOLE, Epoch
from septum.tdx.injection import fails, ways
from septum.tdx.leaves import Leaf
from septum.tdx.locks import release_exclusive, release_shared, release_tree, try_exclusive, try_shared, try_tree
from septum.tdx.operands import RCX, TD_EPOCH
from septum.tdx.pamt import bepoch_at
from septum.tdx.processor import refuse
from septum.tdx.sept import is_blocked, refuse_entry
from septum.tdx.status import (
    TDX_GPA_RANGE_NOT_BLOCKED,
    TDX_OPERAND_BUSY,
    TDX_PREVIOUS_TLB_EPOCH_BUSY,
    TDX_SUCCESS,
    TDX_TLB_TRACKING_NOT_DONE,
    TDX_VCPU_ASSOCIATED,
)
from septum.tdx.td import enter_td, leave_td, must_track
from septum.tdx.versions import ZERO_STEP_SHARED


def tracked(m, vm: VmId, bepoch: Epoch):
    """Whether no vCPU can hold a translation of a page blocked at `bepoch`."""
    atomic("epoch and counts as one: what is tracked stays so, and to be told too late that it is costs a retry alone")
    td = m.td[vm]
    return bepoch + 1 < td.epoch or (bepoch + 1 == td.epoch and td.refcount[bepoch % 2] == 0)


def tracking(m, vm: VmId, word, level: Level, page: Pfn, size: Level):
    """tracking() of tdx-module.md 15: an entry that is blocked, and whose `page`, which has `size`, nobody holds any more."""
    if not must_track(m, vm):
        return TDX_SUCCESS
    if not is_blocked(word):
        return refuse_entry(m, TDX_GPA_RANGE_NOT_BLOCKED, word, level)
    if not tracked(m, vm, bepoch_at(m, page, size)):
        return refuse(m, TDX_TLB_TRACKING_NOT_DONE, RCX)
    return TDX_SUCCESS


@process
def tdh_mem_track(m, vm: VmId):
    """TDH.MEM.TRACK, tdx-module.md 7.12: a new epoch, once nobody is left in the guest from the one before."""
    if not WHOLE:
        way = yield choose(lambda: ways(m, Leaf.MEM_TRACK))
        if fails(m, way):
            return m.injection.status
    td = m.td[vm]
    status = enter_td(m, vm)
    if status != TDX_SUCCESS:
        return status
    if not try_exclusive(td.epoch_lock):
        leave_td(m, vm)
        return refuse(m, TDX_OPERAND_BUSY, TD_EPOCH)
    if td.refcount[(td.epoch + 1) % 2] != 0:
        release_exclusive(td.epoch_lock)
        leave_td(m, vm)
        return refuse(m, TDX_PREVIOUS_TLB_EPOCH_BUSY, 0)
    yield
    td.epoch += 1
    release_exclusive(td.epoch_lock)
    leave_td(m, vm)
    return TDX_SUCCESS


def count_vcpu(td, epoch: Epoch):
    """A vCPU runs that entered in `epoch`."""
    commutes("atomic_inc(); TRACK waits for the lock that is held here")
    td.refcount[epoch % 2] += 1


def uncount_vcpu(td, epoch: Epoch):
    """A vCPU that entered in `epoch` runs no more."""
    commutes("atomic_dec(): TRACK that comes between finds a vCPU that is about to leave, as one that comes before")
    td.refcount[epoch % 2] -= 1


@process
def tdh_vp_enter(m, vm: VmId, vcpu: VcpuId):
    """TDH.VP.ENTER, tdx-module.md 9.1, as far as the epoch goes: TDR shared while the guest runs, the epoch lock for a moment.

    With the zero-step mitigation (9.3), which a scenario switches on, an entry after a fault holds the S-EPT tree for a moment:
    exclusively up to 1.5.16.

    It starts without a scheduling point: its caller tested `wait_for_sept_zap` with interrupts off in the same step.
    """
    td = m.td[vm]
    status = enter_td(m, vm)
    if status != TDX_SUCCESS:
        return status
    if not try_shared(td.epoch_lock):
        leave_td(m, vm)
        return TDX_OPERAND_BUSY
    if MOVES:
        if m.tdvps[vcpu].at.lp != 0 and m.tdvps[vcpu].at.lp != just_me():
            release_shared(td.epoch_lock)
            leave_td(m, vm)
            return TDX_VCPU_ASSOCIATED
    filtered = m.zero_step and m.tdvps[vcpu].faulted
    if filtered and not try_tree(td.tree, ZERO_STEP_SHARED == 0):
        release_shared(td.epoch_lock)
        leave_td(m, vm)
        return TDX_OPERAND_BUSY
    yield
    if filtered:
        release_tree(td.tree, ZERO_STEP_SHARED == 0)
    if MOVES:
        associate(m, vm, vcpu)
    m.tdvps[vcpu].epoch = td.epoch
    count_vcpu(td, td.epoch)
    release_shared(td.epoch_lock)
    return TDX_SUCCESS


def associate(m, vm: VmId, vcpu: VcpuId):
    """The vCPU is associated with this LP, from its first entry here to VP.FLUSH; tdx-module.md 9.1."""
    commutes("a count that who flushes the last vCPU looks at, after it has left the guest")
    if m.tdvps[vcpu].at.lp == 0:
        m.tdvps[vcpu].at.lp = just_me()
        m.tdvps[vcpu].build.associated = True
        m.td[vm].build.associated += 1


def td_exit(m, vm: VmId, vcpu: VcpuId, faulted: bool):
    """A TD exit: the vCPU no longer counts for the epoch that it entered in."""
    m.tdvps[vcpu].faulted = m.zero_step and faulted
    uncount_vcpu(m.td[vm], m.tdvps[vcpu].epoch)
    m.tdvps[vcpu].epoch = 0
    leave_td(m, vm)
