"""The zero-step mitigation of the whole module: which faults a vCPU had at one RIP, and whether they would come again; 9.3."""

from septum.host.entry import PAGE_SHIFT
from septum.host.geometry import Gfn, VcpuId, VmId
from septum.lang import u64
from septum.tdx.geometry import STEPPED_FAULTS, STEPPED_GPAS
from septum.tdx.guest import would_fault
from septum.tdx.locks import try_tree
from septum.tdx.operands import SEPT_TREE
from septum.tdx.processor import me, refuse
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS
from septum.tdx.versions import PENDING_PASSES, ZERO_STEP_SHARED


def filter_lock(m, vm: VmId):
    """The S-EPT tree for the zero-step filter: exclusive up to 1.5.16, shared since 1.5.20."""
    got = try_tree(m.td[vm].tree, ZERO_STEP_SHARED == 0)
    return TDX_SUCCESS if got else refuse(m, TDX_OPERAND_BUSY, SEPT_TREE)


def stepped(m, vcpu: VcpuId, vm: VmId):
    """The first logged page that would still fault, plus one; 0 if none does."""
    stepping = m.tdvps[vcpu].build.stepping
    for i in range(STEPPED_GPAS):
        if i < stepping.logged:
            gfn = Gfn(stepping.gpa[i] >> PAGE_SHIFT)
            if would_fault(m, vm, gfn, PENDING_PASSES != 0 and not m.td[vm].build.pending_ve_disable):
                return gfn + 1
    return 0


def log_fault(m, vcpu: VcpuId, gfn: Gfn):
    """The zero-step log at a TD exit with a private EPT violation, tdx-module.md 9.3."""
    stepping = m.tdvps[vcpu].build.stepping
    note_rip(m, vcpu)
    if stepping.faults < STEPPED_FAULTS:
        stepping.faults += 1
        return
    for i in range(STEPPED_GPAS):
        if i < stepping.logged and stepping.gpa[i] == u64(gfn) << PAGE_SHIFT:
            return
    if stepping.logged < STEPPED_GPAS:
        stepping.gpa[stepping.logged] = u64(gfn) << PAGE_SHIFT
        stepping.logged += 1


def note_rip(m, vcpu: VcpuId):
    """At every VM exit: a guest that got on is not being stepped."""
    stepping = m.tdvps[vcpu].build.stepping
    if stepping.rip != stepping.entry_rip:
        forget_faults(m, vcpu)


def get_on(m):
    """The guest of this LP has done its instruction: RIP is not where it was."""
    m.tdvps[m.lp[me()].vcpu].build.stepping.rip += 1


def forget_faults(m, vcpu: VcpuId):
    """The zero-step log begins anew."""
    stepping = m.tdvps[vcpu].build.stepping
    stepping.faults = 0
    stepping.logged = 0
