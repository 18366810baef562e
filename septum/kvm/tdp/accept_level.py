"""ACCEPT at 4K of what a 2M leaf maps, where a design splits it in the fault; designs.md 9."""

from septum.host.geometry import ENTRIES, Gfn, Level, VcpuId, table_base
from septum.host.locks import write_lock, write_unlock
from septum.host.pools import OK
from septum.kvm.machine import Machine
from septum.kvm.ops import ops
from septum.kvm.tdp.split import tdp_mmu_split_huge_page
from septum.lang import process


@process
def check_accept_level(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """tdx_check_accept_level() [H v3], designs.md 9: the guest accepts 4K of a 2M leaf; from now on none is larger.

    Whether the guest may go on: not without memory, which is userspace's to find; here the guest tries again.
    """
    vm = m.vcpu[vcpu].vm
    yield from ops.begin_split(m, vm, vcpu)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    error = yield from tdp_mmu_split_huge_page(m, vm, vcpu, gfn)
    if error == OK:
        for i in range(ENTRIES):
            m.vm[vm].huge[Gfn(table_base(gfn, Level(1)) + i)] = False
    write_unlock(m, m.vm[vm].mmu_lock)
    ops.end_split(m, vm, vcpu)
    return not m.vm[vm].bugged
