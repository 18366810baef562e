"""Memslots of a plain VM change while its vCPUs use them, or have another one's pages mapped in advance.

What can go wrong: a fault maps a page of a slot that is gone; an MMIO entry outlives the creation of a slot; a deletion makes the
vCPU's root obsolete and waits for the SRCU section of a prefault, which goes on with that root for ever.
"""

from septum.host.geometry import VCPUS
from septum.kvm.memslots import MEMSLOTS, SLOT_IDS, met_dying_slot
from septum.kvm.mmu.direct_fault import old_mmio
from septum.kvm.mmu.mmu import root_obsolete
from septum.kvm.mmu.prefault import kvm_vcpu_pre_fault_memory, prefaulted
from septum.kvm.tdp.direct import RESCHED
from septum.kvm.tdp.roots import root_freed
from septum.kvm.tdp.tdp_mmu import direct_mapped, mmio_mapped
from septum.kvm.tdp.tlb import Acc, guest_wrote
from septum.kvm.virt.memory_region import SLOT_ZAP_ALL, kvm_set_memory_region, slot_deleted, slot_moved
from septum.kvm.virt.notifier import leaf_zapped, madvise_dontneed, page_unmapped
from septum.kvm.x86.direct_run import access, accessed, mmio_emulated
from septum.kvm.x86.vm import rcu_softirq
from septum.lang import call
from septum.scenarios.direct import PLAIN, aliased, plain_vm
from septum.scenarios.world import TWO_VCPUS, World, scenario

TWO_SLOTS = {**PLAIN, MEMSLOTS: 3, SLOT_IDS: 2}


@scenario(
    "a memslot is deleted where a vCPU reads and writes: its roots are zapped, and then its GFNs are MMIO",
    witnesses=(direct_mapped, slot_deleted, met_dying_slot, mmio_emulated, root_freed),
    tables=6, pages=2, vcpus=1, others=1, sizes=PLAIN,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def slot_delete(world: World) -> None:
    """A fault maps a page of the slot after the flush; a write goes to a page that is no longer the guest's."""
    delete_slot(world)


@scenario(
    "a memslot is deleted where a vCPU reads and writes, with the quirk disabled that zaps all roots: its leaves are zapped",
    witnesses=(direct_mapped, slot_deleted, met_dying_slot, mmio_emulated, leaf_zapped),
    tables=4, pages=2, vcpus=1, others=1, sizes={**PLAIN, SLOT_ZAP_ALL: 0},
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def slot_delete_leaves(world: World) -> None:
    """A fault maps a page of the slot after the flush; a write goes to a page that is no longer the guest's."""
    delete_slot(world)


def delete_slot(world: World) -> None:
    """Every vCPU writes and reads in the slot that goes."""
    vm = plain_vm(world)
    for vcpu in vm.vcpus(VCPUS.value):
        vcpu.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ))
    vm.runs("delete", call(kvm_set_memory_region, vm.vm, 0, 0, 0, 0, 0))


@scenario(
    "a memslot is moved where a vCPU reads and writes, at its old place and its new one",
    witnesses=(direct_mapped, slot_moved, met_dying_slot, mmio_emulated, root_freed),
    tables=6, pages=2, vcpus=1, others=1, sizes={**PLAIN, MEMSLOTS: 3},
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def slot_move(world: World) -> None:
    """What the old place maps outlives the move; a fault takes the slot for another with the same number."""
    move_slot(world)


@scenario(
    "a memslot is moved where a vCPU reads and writes, with the quirk disabled that zaps all roots",
    witnesses=(direct_mapped, slot_moved, met_dying_slot, mmio_emulated, leaf_zapped),
    tables=4, pages=2, vcpus=1, others=1, sizes={**PLAIN, MEMSLOTS: 3, RESCHED: 1, SLOT_ZAP_ALL: 0},
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def slot_move_leaves(world: World) -> None:
    """What the old place maps outlives the move; a fault takes the slot for another with the same number."""
    move_slot(world)


def move_slot(world: World) -> None:
    """The first vCPU uses the slot at its old place and its new one."""
    vm = plain_vm(world)
    first, *others = vm.vcpus(VCPUS.value)
    first.runs((access, 0, Acc.WRITE), (access, 2, Acc.WRITE), (access, 0, Acc.READ))
    for vcpu in others:
        vcpu.runs((access, 0, Acc.WRITE))
    vm.runs("move", call(kvm_set_memory_region, vm.vm, 0, 2, 2, 0, 0))


@scenario(
    "another memslot comes and goes while a vCPU reads and writes, as in memslot_modification_stress_test",
    witnesses=(direct_mapped, guest_wrote, slot_deleted, accessed),
    tables=8, pages=2, vcpus=1, others=1, sizes={**PLAIN, MEMSLOTS: 4, SLOT_IDS: 2},
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def slot_stress(world: World) -> None:
    """The change of one slot makes an access to another fail, or end as MMIO."""
    vm = plain_vm(world)
    for vcpu in vm.vcpus(VCPUS.value):
        vcpu.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ), (access, 0, Acc.WRITE))
    add, delete = call(kvm_set_memory_region, vm.vm, 1, 1, 2, 1, 0), call(kvm_set_memory_region, vm.vm, 1, 0, 0, 0, 0)
    vm.runs("slots", add, delete, add, delete)


@scenario(
    "a memslot is created where a vCPU finds MMIO",
    witnesses=(direct_mapped, mmio_mapped, mmio_emulated, old_mmio),
    tables=4, pages=2, vcpus=1, others=1, sizes=PLAIN,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def mmio(world: World) -> None:
    """An MMIO entry outlives the slot's creation, so that RAM is emulated for ever."""
    vm = plain_vm(world)
    slots = world.m.vm[vm.vm].memslots
    slots.memslot[1].npages, slots.active.slot[0] = 0, 0
    for vcpu in vm.vcpus(VCPUS.value):
        vcpu.runs((access, 0, Acc.READ), (access, 0, Acc.WRITE))
    vm.runs("create", call(kvm_set_memory_region, vm.vm, 0, 2, 0, 0, 0))


@scenario(
    "memslots change while an MMU notifier is between its start and its end",
    witnesses=(direct_mapped, slot_deleted, page_unmapped), tables=6, pages=2, vcpus=1, others=2, sizes=PLAIN,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def notifier_slots(world: World) -> None:
    """The notifier ends in other slots than it began in, and the count of invalidations never returns to zero."""
    vm = plain_vm(world)
    for vcpu in vm.vcpus(VCPUS.value):
        vcpu.runs((access, 0, Acc.WRITE))
    vm.runs("delete", call(kvm_set_memory_region, vm.vm, 0, 0, 0, 0, 0))
    vm.runs("madvise", call(madvise_dontneed, vm.vm, 0, 0))


@scenario(
    "a vCPU has a page of one memslot mapped in advance and uses it, while another memslot is deleted: all roots are zapped",
    witnesses=(direct_mapped, prefaulted, slot_deleted, root_obsolete, accessed), tables=6, pages=2, vcpus=1, others=2,
    sizes=TWO_SLOTS, larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def prefault_other_slot(world: World) -> None:
    """The deletion waits for the SRCU section of the prefault, which goes round with a root that the deletion made obsolete."""
    prefault_beside_deletion(world)


@scenario(
    "the same with the quirk disabled that zaps all roots",
    witnesses=(direct_mapped, prefaulted, slot_deleted, accessed), tables=6, pages=2, vcpus=1, others=2,
    sizes={**TWO_SLOTS, SLOT_ZAP_ALL: 0}, larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def prefault_other_slot_leaves(world: World) -> None:
    """The deletion takes a leaf of the other slot, or makes the prefault go round."""
    prefault_beside_deletion(world)


def prefault_beside_deletion(world: World) -> None:
    """Slot 0 is prefaulted and read; slot 1, which has the same page at GFN 2, goes."""
    vm = aliased(world)
    for vcpu in vm.vcpus(1):
        vcpu.runs((kvm_vcpu_pre_fault_memory, 0, 1), (access, 0, Acc.READ))
    vm.runs("delete", call(kvm_set_memory_region, vm.vm, 1, 0, 0, 0, 0))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


SLOTS = (
    slot_delete, slot_delete_leaves, slot_move, slot_move_leaves, slot_stress, mmio, notifier_slots, prefault_other_slot,
    prefault_other_slot_leaves,
)  # fmt: skip
