"""Memslots change under the vCPUs that fault in them.

What can go wrong: a fault that found the old slot installs a page after the flush; it reads the slot after its free; the grace
period never ends because a fault waits, inside of its SRCU section, for the deletion that waits for it.
"""

from septum.host.geometry import LEVELS, VCPUS
from septum.kvm.bug import page_mapped
from septum.kvm.machine import VM_MEMSLOTS
from septum.kvm.memslots import HVAS, MEMSLOTS, Memslots, met_dying_slot
from septum.kvm.virt.memory_region import kvm_set_memory_region, slot_deleted
from septum.kvm.vmx.vcpu import fault, touch
from septum.lang import call
from septum.scenarios.world import World, scenario

GMEM = 2


@scenario(
    "a memslot of guest_memfd is deleted where a vCPU faults and accepts",
    witnesses=(page_mapped, slot_deleted, met_dying_slot),
    tables=3, pages=2, vcpus=1, others=1, sizes={MEMSLOTS: 2, HVAS: 4, VM_MEMSLOTS: Memslots},
    larger={VCPUS: 2, LEVELS: 4},
)  # fmt: skip
def memslot_delete(world: World) -> None:
    """A fault that found the old slot maps a page after the flush, or reads the slot after its free."""
    td = world.td()
    slot = world.m.vm[td.vm].memslots
    slot.memslot[1].npages, slot.memslot[1].gmem, slot.active.slot[0] = 2, True, 1
    for vcpu in td.vcpus(VCPUS.value):
        vcpu.runs((touch, 0), (fault, 1))
    td.runs("delete", call(kvm_set_memory_region, td.vm, 0, 0, 0, 0, GMEM))
