"""GFNs change from private to shared and back while vCPUs use them.

What can go wrong: a fault that read the attribute or took its page before the change maps a leaf of the old view after it; the
content of a page next to the range goes with it; a vCPU keeps a translation of a page that the host has again; a fault waits
for ever for a conversion that ended.
"""

from collections.abc import Mapping
from typing import Any

from septum.host.geometry import ENTRIES, GFNS
from septum.host.locks import FAIR
from septum.kvm.attributes import kvm_vm_ioctl_set_mem_attributes, made_private, made_shared
from septum.kvm.bug import page_mapped
from septum.kvm.direct import DIRECT, SpRole, VcpuDirect, VmDirect
from septum.kvm.direct_run import access, accessed
from septum.kvm.exits import memory_fault
from septum.kvm.gmem import hole_punched, kvm_gmem_punch_hole
from septum.kvm.guest import balloon, insist, map_gpa, release
from septum.kvm.machine import SP_DIRECT, VCPU_DIRECT, VM_DIRECT, VM_MEMSLOTS
from septum.kvm.memslots import HVAS, MEMSLOTS, Memslots
from septum.kvm.mmu import stale_fault
from septum.kvm.tdp_mmu import direct_mapped
from septum.kvm.vcpu import touch
from septum.lang import call
from septum.scenarios.world import LIVING, Td, World, scenario
from septum.tdx.guest import page_accepted

BOTH_VIEWS: Mapping[Any, object] = {
    DIRECT: 1, MEMSLOTS: 2, HVAS: 2, VM_MEMSLOTS: Memslots, VM_DIRECT: VmDirect, VCPU_DIRECT: VcpuDirect, SP_DIRECT: SpRole,
    GFNS: 4 * ENTRIES,
}  # fmt: skip


def share(world: World, td: Td) -> None:
    """A TD with a direct side: slot 0 for GFN 0 on, which is shared; the shared bit is the highest of a GFN."""
    kvm = world.m.vm[td.vm]
    kvm.direct.gfn_direct_bits = GFNS.value // 2
    kvm.shared[0] = True
    world.m.sp[kvm.mirror_root].direct.is_mirror = True
    kvm.memslots.memslot[1].npages, kvm.memslots.memslot[1].gmem, kvm.memslots.active.slot[0] = HVAS.value, True, 1


@scenario(
    "private memory is converted to shared where a vCPU faults and accepts, and beside it",
    witnesses=(page_mapped, page_accepted, made_shared, memory_fault, stale_fault), **LIVING,
)  # fmt: skip
def fault_convert(world: World) -> None:
    td = world.td()
    for vcpu in td.vcpus(1):
        vcpu.runs((touch, 0), (touch, 1), (touch, 0))
    td.runs("convert", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, True))


@scenario(
    "a GFN is converted to shared and back, and the VMM converts it again whenever the guest's fault asks for that",
    witnesses=(page_mapped, page_accepted, made_shared, made_private, memory_fault, stale_fault), **LIVING,
)  # fmt: skip
def convert_both_ways(world: World) -> None:
    td = world.td()
    for vcpu in td.vcpus(1):
        vcpu.runs((insist, 0))
    td.runs("to shared", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, True))
    td.runs("to private", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, False))


@scenario(
    "a guest converts by hypercall, releases and balloons memory while another vCPU needs the page beside it",
    witnesses=(page_mapped, page_accepted, made_shared, made_private, hole_punched), **LIVING,
)  # fmt: skip
def hypercalls(world: World) -> None:
    first, second = world.td().vcpus(2)
    first.runs((touch, 0), (release, 0, 0), (map_gpa, 0, 0, False), (touch, 0), (balloon, 0, 0))
    second.runs((touch, 1))


@scenario(
    "a conversion and a punched hole overlap: two invalidations at a time, under different mutexes",
    witnesses=(page_mapped, made_shared, hole_punched, stale_fault), **LIVING,
)  # fmt: skip
def convert_punch_hole(world: World) -> None:
    td = world.td()
    for vcpu in td.vcpus(1):
        vcpu.runs((touch, 0), (touch, 1))
    td.runs("convert", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, True))
    td.runs("punch hole", call(kvm_gmem_punch_hole, td.vm, 0, 1))


@scenario(
    "a punched hole and a conversion yield between leaves, under a fair mmu_lock, while a vCPU faults in both",
    witnesses=(page_mapped, made_shared, hole_punched, stale_fault), **{**LIVING, "sizes": {**LIVING["sizes"], FAIR: 1}},
)  # fmt: skip
def yielding(world: World) -> None:
    td = world.td()
    for vcpu in td.vcpus(1):
        vcpu.runs((touch, 0), (touch, 1))
    td.runs("convert", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 1, 1, True))
    td.runs("punch hole", call(kvm_gmem_punch_hole, td.vm, 0, 1))


@scenario(
    "a shared GFN that a vCPU uses becomes private, and another vCPU needs it private: both views of one GFN",
    witnesses=(direct_mapped, made_private, page_mapped, memory_fault, page_accepted, accessed),
    tables=6, pages=3, vcpus=2, others=1, levels=2, sizes={**LIVING["sizes"], **BOTH_VIEWS},
)  # fmt: skip
def both_views(world: World) -> None:
    td = world.td()
    share(world, td)
    first, second = td.vcpus(2)
    first.runs((access, 0, True))
    second.runs((touch, 0))
    td.runs("to private", call(kvm_vm_ioctl_set_mem_attributes, td.vm, 0, 0, False))


CONVERSIONS = (both_views, fault_convert, convert_both_ways, hypercalls, convert_punch_hole, yielding)
