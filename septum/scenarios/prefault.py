"""Userspace has pages mapped in advance while it deletes their memslot, or converts them.

What can go wrong: the deletion waits for the SRCU section of a prefault that waits for the deletion; a page is mapped in a slot
that is gone; a prefault of the old view is installed after the conversion.
"""

from collections.abc import Mapping
from typing import Any

from septum.host.geometry import VCPUS
from septum.host.signals import SIGNALS, interrupted
from septum.kvm.bug import page_mapped
from septum.kvm.exits import UserRange, memory_fault
from septum.kvm.machine import VCPU_RANGE, VM_FILE, VM_MEMSLOTS
from septum.kvm.memslots import MEMSLOTS, Memslots, met_dying_slot
from septum.kvm.mmu.mmu import stale_fault
from septum.kvm.mmu.prefault import kvm_vcpu_pre_fault_memory, prefault_gave_up, prefaulted
from septum.kvm.virt.attributes import kvm_vm_ioctl_set_mem_attributes, made_shared
from septum.kvm.virt.gmem import hole_punched, kvm_gmem_punch_hole
from septum.kvm.virt.gmem_file import CLOSES_FILE, GmemFile, unbound_dying
from septum.kvm.virt.memory_region import kvm_set_memory_region, slot_deleted
from septum.kvm.vmx.vcpu import touch
from septum.kvm.x86.guest import insist, pre_fault_memory
from septum.kvm.x86.vm import close_gmem, file_closed
from septum.lang import call
from septum.scenarios.world import LIVING, Td, World, scenario
from septum.tdx.guest import page_accepted

GMEM = 2  # KVM_MEM_GUEST_MEMFD
SLOTTED: Mapping[str, Any] = {
    **LIVING, "sizes": {**LIVING["sizes"], MEMSLOTS: 3, VM_MEMSLOTS: Memslots, CLOSES_FILE: 1, VM_FILE: GmemFile},
}  # fmt: skip
SIGNALLED: Mapping[str, Any] = {**LIVING, "sizes": {**LIVING["sizes"], SIGNALS: 1, VCPU_RANGE: UserRange}}


def with_slot(world: World, pages: int = 2) -> Td:
    """A TD with slot 0 of guest_memfd for so many pages from GFN 0 on."""
    td = world.td()
    slots = world.m.vm[td.vm].memslots
    slots.memslot[1].npages, slots.memslot[1].gmem, slots.active.slot[0] = pages, True, 1
    for gfn in range(pages):
        world.m.vm[td.vm].file.bindings[gfn] = 1
    return td


@scenario(
    "a memslot is deleted while KVM_PRE_FAULT_MEMORY maps its pages",
    witnesses=(page_mapped, prefaulted, prefault_gave_up, slot_deleted, met_dying_slot, memory_fault), **SLOTTED,
)  # fmt: skip
def prefault_delete(world: World) -> None:
    """The deletion waits for the SRCU section of a prefault, which retries until the deletion has ended."""
    td = with_slot(world)
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((kvm_vcpu_pre_fault_memory, 0, 2), (touch, 0))
    td.runs("delete", call(kvm_set_memory_region, td.vm, 0, 0, 0, 0, GMEM))


@scenario(
    "a memslot is deleted and made again where a vCPU faults and accepts",
    witnesses=(page_mapped, page_accepted, slot_deleted, met_dying_slot, memory_fault), **SLOTTED,
)  # fmt: skip
def slot_replaced(world: World) -> None:
    """A page of the old slot is mapped for the new one, which counts it as its own."""
    td = with_slot(world)
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((touch, 0), (touch, 1))
    td.runs("replace", call(kvm_set_memory_region, td.vm, 0, 0, 0, 0, GMEM), call(kvm_set_memory_region, td.vm, 0, 2, 0, 0, GMEM))


@scenario(
    "pages are prefaulted while one of them is converted to shared, and the guest needs it private",
    witnesses=(page_mapped, prefaulted, made_shared, memory_fault, stale_fault), **LIVING,
)  # fmt: skip
def prefault_convert(world: World) -> None:
    """A prefault of the private view is installed after the page became shared."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((kvm_vcpu_pre_fault_memory, 0, 2), (insist, 0))
    td.runs("convert", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, True))


@scenario(
    "a memslot is deleted while the guest_memfd file that it is bound to is closed",
    witnesses=(page_mapped, slot_deleted, file_closed, unbound_dying, memory_fault),
    **SLOTTED,
)  # fmt: skip
def close_delete(world: World) -> None:
    """The release of the file writes to a slot that has been freed, or leaves a binding to itself."""
    td = with_slot(world)
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((touch, 0))
    td.runs("delete", call(kvm_set_memory_region, td.vm, 0, 0, 0, 0, GMEM))
    td.runs("close", call(close_gmem, td.vm))


@scenario(
    "the VMM leaves guest_memfd out when it changes a memslot that has it, and the file is closed",
    witnesses=(page_mapped, file_closed, memory_fault), **SLOTTED,
)  # fmt: skip
def close_toggle(world: World) -> None:
    """The change is taken for one of flags, and the file stays bound to a slot that has been freed."""
    td = with_slot(world)
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((touch, 0))
    td.runs("toggle", call(kvm_set_memory_region, td.vm, 0, 2, 0, 0, 0))
    td.runs("close", call(close_gmem, td.vm))


@scenario(
    "signals interrupt a prefault while a hole is punched in its range, and the VMM goes on where it was",
    witnesses=(page_mapped, prefaulted, interrupted, hole_punched, stale_fault), **SIGNALLED,
)  # fmt: skip
def prefault_signals(world: World) -> None:
    """A page is passed by or mapped twice when the VMM goes on; what was mapped before the signal is counted as not done."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((pre_fault_memory, 0, 2))
    td.runs("punch hole", call(kvm_gmem_punch_hole, td.vm, 0, 1))


PREFAULTS = (prefault_delete, slot_replaced, close_delete, close_toggle, prefault_convert, prefault_signals)
