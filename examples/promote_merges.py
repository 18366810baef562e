"""The 4K leaves of a 2M range become one leaf again, with mmu_lock held for read and the entry FROZEN: BLOCK, TRACK, PROMOTE.

Up to the module 1.5.16 PROMOTE takes the S-EPT tree shared, as the AUG of a fault elsewhere does, and the two pass each other.
Since 1.5.20 it takes the tree exclusively: it is TDX_OPERAND_BUSY while a fault is in the tree, and TDX_INTERRUPTED_BUSY when
a fault lost the tree to it. This design expects neither. Linux does not merge leaves of a TD.

    septum check examples/promote_merges.py --scenario merge --module 1.5.25
"""

from septum.designs.upstream import design as upstream
from septum.host.entry import FROZEN_SPTE
from septum.host.frames import PageType
from septum.host.geometry import ENTRIES, Gfn, Level, Pfn, VmId, index_at
from septum.host.locks import read_lock, read_unlock
from septum.host.pools import OK
from septum.kvm.bug import tdx_bug_on
from septum.kvm.design import Design
from septum.kvm.machine import SPLITS_UNDER_READ_LOCK, Machine
from septum.kvm.tdp.spte import make_spte, spte_to_pfn
from septum.kvm.tdp.tdp_mmu import table_at, tdp_mmu_free_sp
from septum.kvm.vmx.tdx import tdx_track
from septum.kvm.vmx.vcpu import touch
from septum.lang import WRITE_ONCE, call, process, xchg
from septum.scenarios.world import World, scenario
from septum.tdx.guest import page_accepted
from septum.tdx.mem_range import tdh_mem_range_block
from septum.tdx.promote import promoted, tdh_mem_page_promote
from septum.tdx.sept import mapped_leaf
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS

design = Design("promote_merges", base=upstream, sizes={SPLITS_UNDER_READ_LOCK: 1})


@process
def merge_leaves(m: Machine, vm: VmId, gfn: Gfn):
    """All pages of the 2M range of `gfn` are there, accepted, and one folio. Errno."""
    yield from read_lock(m, m.vm[vm].mmu_lock)
    upper = table_at(m, vm, gfn, Level(2))
    was = xchg(m.table[upper].word[index_at(gfn, Level(2))], FROZEN_SPTE)
    spt = spte_to_pfn(was)
    error = yield from block_and_track(m, vm, gfn)
    if error == OK:
        status = yield from tdh_mem_page_promote(m, vm, gfn, Level(2))
        if status != TDX_SUCCESS:
            error = tdx_bug_on(m, vm, status)
    if error == OK:
        WRITE_ONCE(m.table[upper].word[index_at(gfn, Level(2))], make_spte(spte_to_pfn(m.table[spt].word[0]), Level(2)))
        yield from tdp_mmu_free_sp(m, spt)
    read_unlock(m, m.vm[vm].mmu_lock)
    return error


@process
def block_and_track(m: Machine, vm: VmId, gfn: Gfn):
    """BLOCK of the table's entry until no fault is in the tree, then TRACK. Errno."""
    status = yield from tdh_mem_range_block(m, vm, gfn, Level(2))
    while status == TDX_OPERAND_BUSY:
        status = yield from tdh_mem_range_block(m, vm, gfn, Level(2))
    if status != TDX_SUCCESS:
        return tdx_bug_on(m, vm, status)
    return (yield from tdx_track(m, vm))


@scenario(
    "a vCPU accepts a page while the 4K leaves of another 2M range are merged",
    witnesses=(promoted, page_accepted), tables=2, pages=1, vcpus=1, others=1, folios=1, linked=2, levels=3,
)  # fmt: skip
def merge(world: World) -> None:
    """PROMOTE meets a guest that has the S-EPT tree."""
    m, td = world.m, world.td()
    spt, external = td.link(0, 1)
    head = world.folio()
    for i in range(ENTRIES.value):
        m.table[spt].word[i], m.table[external].word[i] = make_spte(head + i, 1), mapped_leaf(head + i)
        frame = m.frame[Pfn(head + i)]
        frame.type, frame.owner, frame.refcount = PageType.REG, td.vm, 1
        m.vm[td.vm].gmem[i] = head + i
        m.td[td.vm].chldcnt += 1
    (vcpu,) = td.vcpus(1)
    vcpu.runs((touch, 2))
    td.runs("merge", call(merge_leaves, td.vm, 0))
