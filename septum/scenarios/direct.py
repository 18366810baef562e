"""Direct trees of a plain VM: faults beside MMU notifiers, fast zaps, changes of memslots.

What can go wrong: a fault installs a page that the host took away meanwhile; a vCPU uses a translation that is no longer there; a
root is freed that somebody still walks, or the last reference of a valid one is put; a table is looked into after its free.
"""

from collections.abc import Mapping

from septum.host.frames import Role
from septum.host.geometry import ENTRIES, FIXED_PAGES
from septum.kvm.bug import lost_race
from septum.kvm.direct import DIRECT, SpRole, VcpuDirect, VmDirect
from septum.kvm.direct_run import access, accessed
from septum.kvm.machine import SP_DIRECT, VCPU_DIRECT, VM_DIRECT, VM_MEMSLOTS, VmState
from septum.kvm.memslots import HVAS, MEMSLOTS, Memslots
from septum.kvm.mmu import stale_fault
from septum.kvm.notifier import leaf_zapped, madvise_dontneed, page_unmapped
from septum.kvm.spte import MMIO_VALUE
from septum.kvm.tdp_mmu import direct_mapped
from septum.kvm.tlb import guest_wrote, tlb_flushed
from septum.lang import Size, call
from septum.scenarios.world import Td, World, scenario

PLAIN: Mapping[Size, object] = {
    DIRECT: 1, MEMSLOTS: 2, HVAS: 2, VM_MEMSLOTS: Memslots, VM_DIRECT: VmDirect, VCPU_DIRECT: VcpuDirect, SP_DIRECT: SpRole,
    FIXED_PAGES: 2,
}  # fmt: skip


def plain_vm(world: World, pages: int = 1, huge: bool = False) -> Td:
    """A VM that is no TD: the VMM has mapped so many pages; one slot, number 0, has them from GFN 0 on."""
    vm = world.vm()
    kvm = world.m.vm[vm]
    kvm.state = VmState.RUNNABLE
    kvm.direct.shadow_mmio_value = MMIO_VALUE
    slot = kvm.memslots.memslot[1]
    slot.npages, kvm.memslots.active.slot[0] = HVAS.value, 1
    pool = iter(range(ENTRIES.value, 2 * ENTRIES.value)) if huge else None
    for hva in range(pages):
        page = next(pool) if pool else world.page(Role.GUEST)
        world.m.frame[page].role, world.m.frame[page].refcount = Role.GUEST, 1
        kvm.direct.mm.page[hva], kvm.direct.mm.huge[hva] = page, huge
    return Td(world, vm)


@scenario(
    "an MMU notifier takes a page away that two vCPUs use",
    witnesses=(direct_mapped, leaf_zapped, page_unmapped, stale_fault, tlb_flushed, guest_wrote, accessed, lost_race),
    tables=3, pages=2, vcpus=2, others=1, sizes=PLAIN,
)  # fmt: skip
def notifier(world: World) -> None:
    vm = plain_vm(world)
    first, second = vm.vcpus(2)
    first.runs((access, 0, 1), (access, 0, 0))
    second.runs((access, 0, 1))
    vm.runs("madvise", call(madvise_dontneed, vm.vm, 0))
