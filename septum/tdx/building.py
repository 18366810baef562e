"""TDs and vCPUs that are created inside of a machine (BUILDS): MNG.CREATE to VP.FLUSH as far as KVM can tell; 7.13 - 7.15.

A TDCS is the one page with the root of the Secure EPT, a TDVPS its TDVPR. What is left of PAGE.ADD, MR.EXTEND and MR.FINALIZE
stands with the whole module.
"""

from septum.host.entry import SEPT_FREE
from septum.host.frames import PageType, Role, fill
from septum.host.geometry import Level, Pfn, VcpuId, VmId
from septum.lang import Struct, atomic, choose, process, u8
from septum.tdx.geometry import MOVES
from septum.tdx.injection import fails, ways
from septum.tdx.leaves import Leaf, OpState
from septum.tdx.operands import RCX
from septum.tdx.pamt import assign, locate, lock_page, unlock_page
from septum.tdx.status import TDX_SUCCESS, TDX_VCPU_NOT_ASSOCIATED, TDX_VCPU_STATE_INCORRECT
from septum.tdx.td import Lifecycle, VcpuState, add_children, enter_td, enter_tdr, leave_td, leave_tdr


class TdBuilding(Struct):
    """TDCS fields of the build phase."""

    op_state: OpState
    vcpus: u8  # initialised
    associated: u8  # vCPUs that are associated with an LP


class TdvpsBuilding(Struct):
    """A vCPU beyond its epoch."""

    tdvpr: Pfn
    state: VcpuState
    associated: bool


@process
def create_td(m, vm: VmId, tdr: Pfn, root: Pfn):
    """MNG.CREATE, KEY.CONFIG on each package, MNG.ADDCX and MNG.INIT as one: nobody else knows the TD yet."""
    yield from locate(m, tdr)
    yield from locate(m, root)
    way = yield choose(lambda: ways(m, Leaf.MNG_CREATE))
    if fails(m, way):
        return m.injection.status
    status = lock_page(m, tdr, RCX)
    if status != TDX_SUCCESS:
        return status
    status = lock_page(m, root, RCX)
    if status != TDX_SUCCESS:
        unlock_page(m, tdr)
        return status
    yield
    td = m.td[vm]
    assign(m, tdr, Level(1), Role.CONTROL, PageType.TDR, vm)
    fill(m, root, SEPT_FREE)
    assign(m, root, Level(1), Role.CONTROL, PageType.TDCX, vm)
    td.tdr = tdr
    td.root = root
    td.lifecycle = Lifecycle.KEYS_CONFIGURED
    td.chldcnt = 1
    td.epoch = 1
    td.build.op_state = OpState.INITIALIZED
    unlock_page(m, root)
    unlock_page(m, tdr)
    return TDX_SUCCESS


@process
def tdh_vp_create(m, vm: VmId, vcpu: VcpuId, page: Pfn):
    """TDH.VP.CREATE inside of a machine: `page` becomes the TDVPR; TDR shared."""
    yield from locate(m, page)
    way = yield choose(lambda: ways(m, Leaf.VP_CREATE))
    if fails(m, way):
        return m.injection.status
    status = enter_td(m, vm)
    if status != TDX_SUCCESS:
        return status
    status = lock_page(m, page, RCX)
    if status != TDX_SUCCESS:
        leave_td(m, vm)
        return status
    yield
    assign(m, page, Level(1), Role.CONTROL, PageType.TDVPR, vm)
    m.tdvps[vcpu].build.tdvpr = page
    add_children(m.td[vm], 1)
    unlock_page(m, page)
    leave_td(m, vm)
    return TDX_SUCCESS


@process
def tdh_vp_init(m, vm: VmId, vcpu: VcpuId):
    """TDH.VP.INIT, version 1, inside of a machine: TDR exclusive; the vCPU is READY, and associated with this LP."""
    way = yield choose(lambda: ways(m, Leaf.VP_INIT))
    if fails(m, way):
        return m.injection.status
    status = enter_tdr(m, vm, True)
    if status != TDX_SUCCESS:
        return status
    if m.tdvps[vcpu].build.state != VcpuState.UNINITIALIZED:
        leave_tdr(m, vm, True)
        return TDX_VCPU_STATE_INCORRECT
    yield
    m.tdvps[vcpu].build.state = VcpuState.READY
    m.tdvps[vcpu].build.associated = True
    m.td[vm].build.vcpus += 1
    m.td[vm].build.associated += 1
    leave_tdr(m, vm, True)
    return TDX_SUCCESS


@process
def tdh_vp_flush(m, vm: VmId, vcpu: VcpuId):
    """TDH.VP.FLUSH inside of a machine: the vCPU is associated with no LP; TDR shared."""
    way = yield choose(lambda: ways(m, Leaf.VP_FLUSH))
    if fails(m, way):
        return m.injection.status
    status = enter_td(m, vm)
    if status != TDX_SUCCESS:
        return status
    if not m.tdvps[vcpu].build.associated:
        leave_td(m, vm)
        return TDX_VCPU_NOT_ASSOCIATED
    yield
    m.tdvps[vcpu].build.associated = False
    if MOVES:
        m.tdvps[vcpu].at.lp = 0
    count_flushed(m, vm)
    leave_td(m, vm)
    return TDX_SUCCESS


def count_flushed(m, vm: VmId):
    """One vCPU fewer is associated with an LP."""
    atomic("one locked instruction of the module")
    m.td[vm].build.associated -= 1
