"""A VM with two guest_memfd files, each with a slot of its own: what is punched out of one has nothing to do with the other.

What can go wrong: an offset is taken for a GFN, and the other file's memory goes; the end of one invalidation lets faults in
where the other one goes on; a slot is unbound between begin and end, and the end is never said.
"""

from septum.kvm.bug import page_mapped
from septum.kvm.exits import memory_fault
from septum.kvm.machine import VM_FILES, VM_MEMSLOTS
from septum.kvm.memslots import MEMSLOTS, SLOT_FILE, SLOT_IDS, Memslots, met_dying_slot
from septum.kvm.mmu.mmu import stale_fault
from septum.kvm.virt.gmem import hole_punched
from septum.kvm.virt.gmem_files import FILES, Files, SlotFile, hole_beside_slots, kvm_gmem_punch_hole_in
from septum.kvm.virt.memory_region import kvm_set_memory_region, slot_deleted
from septum.kvm.vmx.life import wait_for_td
from septum.kvm.vmx.populate import populated, tdx_vcpu_init_mem_region
from septum.kvm.vmx.vcpu import touch
from septum.lang import call
from septum.scenarios.build import initialised
from septum.scenarios.world import FOUR_LEVELS, LIVING, Td, World, scenario
from septum.tdx.guest import page_accepted

GMEM = 2
SECOND = 2  # the first GFN of the second slot, which is offset 0 of the second file
OF_TWO_FILES = {MEMSLOTS: 3, SLOT_IDS: 2, VM_MEMSLOTS: Memslots, FILES: 2, VM_FILES: Files, SLOT_FILE: SlotFile}
TWO_FILES = {
    **LIVING, "levels": 3, "pages": 3, "tables": 4, "vcpus": 1, "larger": FOUR_LEVELS,
    "sizes": {**LIVING["sizes"], **OF_TWO_FILES},
}  # fmt: skip


def two_files(world: World) -> Td:
    """A TD whose slot 0 has GFNs 0 and 1 from the first file, and slot 1 GFNs 2 and 3 from the second, both from offset 0 on."""
    td = world.td()
    bind_two_files(world, td.vm)
    return td


def bind_two_files(world: World, vm: int) -> None:
    """The two slots of a VM."""
    slots = world.m.vm[vm].memslots
    for number in range(2):
        slot = slots.memslot[number + 1]
        slot.npages, slot.base_gfn, slot.gmem, slot.at.file = 2, number * SECOND, True, number + 1
        slots.active.slot[number] = number + 1
        for index in range(2):
            world.m.vm[vm].files.file[number + 1].bindings[index] = number + 1


@scenario(
    "holes are punched in both files of a VM, each at offset 0, while a vCPU faults in both slots",
    witnesses=(page_mapped, page_accepted, hole_punched, stale_fault), **TWO_FILES,
)  # fmt: skip
def files_holes(world: World) -> None:
    """An offset is taken for a GFN, and the other file's memory goes; the end of one hole lets faults in that the other bars."""
    td = two_files(world)
    for vcpu in td.vcpus(1):
        vcpu.runs((touch, 0), (touch, SECOND), (touch, 0))
    for file in (1, 2):
        td.runs(f"file {file}", call(kvm_gmem_punch_hole_in, td.vm, file, 0, 0))


@scenario(
    "a slot goes while a hole is punched in its file, and a vCPU faults in it and in the slot of the other file",
    witnesses=(page_mapped, page_accepted, hole_punched, hole_beside_slots, slot_deleted, met_dying_slot, memory_fault),
    **TWO_FILES,
)  # fmt: skip
def files_delete(world: World) -> None:
    """The slot is unbound between begin and end of the hole, and the end is never said; or the slot is read after its free."""
    td = two_files(world)
    for vcpu in td.vcpus(1):
        vcpu.runs((touch, SECOND), (touch, 0))
    td.runs("delete", call(kvm_set_memory_region, td.vm, 1, 0, 0, 0, GMEM))
    td.runs("file 2", call(kvm_gmem_punch_hole_in, td.vm, 2, 0, 1))


@scenario(
    "a page of one file is populated and measured while a hole is punched in the other file, where a page was populated before",
    witnesses=(populated, hole_punched), levels=3, tables=4, pages=3, vcpus=1, others=1, built=1, sizes=OF_TWO_FILES,
)  # fmt: skip
def populate_two_files(world: World) -> None:
    """MR.EXTEND finds the TDR taken by the hole of the other file, which no lock keeps out, or the hole finds it taken twice."""
    vm, vcpu = world.vm(), world.new_vcpu()
    bind_two_files(world, vm)
    pages = (call(tdx_vcpu_init_mem_region, vcpu, first, 1, first == 0) for first in (SECOND, 0))
    world.setup.thread("populate", *initialised(vm, vcpu), *pages)
    world.setup.thread("file 2", call(wait_for_td, vm), call(kvm_gmem_punch_hole_in, vm, 2, 0, 0))


FILES_OF_A_VM = (files_holes, files_delete, populate_two_files)
