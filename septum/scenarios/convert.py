"""GFNs change from private to shared and back while vCPUs use them.

What can go wrong: a fault that read the attribute or took its page before the change maps a leaf of the old view after it; the
content of a page next to the range goes with it; a vCPU keeps a translation of a page that the host has again; a fault waits
for ever for a conversion that ended.
"""

from septum.host.geometry import VCPUS
from septum.host.locks import FAIR
from septum.kvm.bug import page_mapped
from septum.kvm.exits import memory_fault
from septum.kvm.machine import VM_FILE, VM_POISON
from septum.kvm.mmu.mmu import stale_fault
from septum.kvm.tdp.split import converted, kvm_vm_set_mem_attributes, split_done
from septum.kvm.virt.attributes import kvm_vm_ioctl_set_mem_attributes, made_private, made_shared
from septum.kvm.virt.gmem import hole_punched, kvm_gmem_error_folio, kvm_gmem_punch_hole
from septum.kvm.virt.gmem_file import CLOSES_FILE, GmemFile
from septum.kvm.virt.hwpoison import HWPOISON, Poison, memory_failed, met_hwpoison
from septum.kvm.vmx.vcpu import touch
from septum.kvm.x86.guest import balloon, insist, map_gpa, release
from septum.kvm.x86.vm import close_gmem, file_closed
from septum.lang import call
from septum.scenarios.split import NEEDS
from septum.scenarios.world import LIVING, TWO_VCPUS, World, scenario
from septum.tdx.guest import page_accepted


@scenario(
    "private memory is converted to shared where a vCPU faults and accepts, and beside it",
    witnesses=(page_mapped, page_accepted, made_shared, memory_fault, stale_fault), **LIVING,
)  # fmt: skip
def fault_convert(world: World) -> None:
    """A fault that read the attribute before the change maps a private page after it; the page beside it loses its content."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((touch, 0), (touch, 1), (touch, 0))
    td.runs("convert", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, True))


@scenario(
    "a GFN is converted to shared and back, and the VMM converts it again whenever the guest's fault asks for that",
    witnesses=(page_mapped, page_accepted, made_shared, made_private, memory_fault, stale_fault), **LIVING,
)  # fmt: skip
def convert_both_ways(world: World) -> None:
    """The fault waits for a conversion that has ended, or the new private page shows what the old one held."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((insist, 0))
    td.runs("to shared", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, True))
    td.runs("to private", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, False))


@scenario(
    "a guest converts by hypercall, releases and balloons memory while another vCPU needs the page beside it",
    witnesses=(page_mapped, page_accepted, made_shared, made_private, hole_punched), **LIVING,
)  # fmt: skip
def hypercalls(world: World) -> None:
    """The guest's own release and its conversion zap the page twice; what the other vCPU wrote beside it is gone."""
    first, *others = world.td().vcpus(VCPUS.value)
    first.runs((touch, 0), (release, 0, 0), (map_gpa, 0, 0, False), (touch, 0), (balloon, 0, 0))
    for second in others:
        second.runs((touch, 1))


@scenario(
    "a conversion and a punched hole overlap: two invalidations at a time, under different mutexes",
    witnesses=(page_mapped, made_shared, hole_punched, stale_fault), **LIVING,
)  # fmt: skip
def convert_punch_hole(world: World) -> None:
    """The first invalidation that ends lets a fault through, which then maps what the second is about to take."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((touch, 0), (touch, 1))
    td.runs("convert", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, True))
    td.runs("punch hole", call(kvm_gmem_punch_hole, td.vm, 0, 1))


@scenario(
    "a punched hole and a conversion yield between leaves, under a fair mmu_lock, while a vCPU faults in both",
    witnesses=(page_mapped, made_shared, hole_punched, stale_fault), **{**LIVING, "sizes": {**LIVING["sizes"], FAIR: 1}},
)  # fmt: skip
def yielding(world: World) -> None:
    """A fault slips in where the zap dropped mmu_lock and maps, behind its back, what it has passed already."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((touch, 0), (touch, 1))
    td.runs("convert", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 1, 1, True))
    td.runs("punch hole", call(kvm_gmem_punch_hole, td.vm, 0, 1))


@scenario(
    "a conversion from the tail of one 2M leaf to the head of the next splits both, while a vCPU accepts the other end",
    witnesses=(split_done, converted, page_accepted),
    tables=4, pages=0, vcpus=1, others=1, folios=2, linked=1, larger=TWO_VCPUS, needs=NEEDS, levels=3,
)  # fmt: skip
def convert_ends(world: World) -> None:
    """The wrong half of a leaf goes with the range, or the second split fails and the first remains half done."""
    td = world.td()
    td.maps_huge(0, accepted=True)
    td.maps_huge(2, accepted=False)
    first, *others = td.vcpus(VCPUS.value)
    first.runs((touch, 3))
    for vcpu in others:
        vcpu.runs((touch, 0))
    td.runs("convert", call(kvm_vm_set_mem_attributes, td.vm, 1, 2))


@scenario(
    "the guest_memfd file is closed while vCPUs fault and accept: from then on private memory cannot be had",
    witnesses=(page_mapped, page_accepted, file_closed, memory_fault, stale_fault),
    **{**LIVING, "sizes": {**LIVING["sizes"], CLOSES_FILE: 1, VM_FILE: GmemFile}},
)  # fmt: skip
def close_file(world: World) -> None:
    """A fault gets a page from a file that is gone, and nobody frees it; a slot points to a file that has been freed."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value):
        vcpu.runs((touch, 0))
    td.runs("close", call(close_gmem, td.vm))


@scenario(
    "the memory of a page fails where a vCPU faults and accepts: it is unmapped, and cannot be had until a hole is punched",
    witnesses=(page_mapped, page_accepted, memory_failed, met_hwpoison, memory_fault, stale_fault),
    **{**LIVING, "sizes": {**LIVING["sizes"], HWPOISON: 1, VM_POISON: Poison}},
)  # fmt: skip
def memory_failure(world: World) -> None:
    """The fault maps the page that failed, or goes round on it for ever; the hole frees it while it is still mapped."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((touch, 0), (touch, 0))
    td.runs("memory failure", call(kvm_gmem_error_folio, td.vm, 0))
    td.runs("punch hole", call(kvm_gmem_punch_hole, td.vm, 0, 0))


CONVERSIONS = (
    fault_convert,
    convert_both_ways,
    hypercalls,
    convert_punch_hole,
    yielding,
    close_file,
    memory_failure,
    convert_ends,
)
