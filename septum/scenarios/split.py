"""2M leaves are split: by a conversion without a vCPU, and by a vCPU whose guest accepts 4K of a larger leaf."""

from septum.host.geometry import VCPUS
from septum.kvm.bug import page_mapped
from septum.kvm.tdp.split import converted, kvm_vm_set_mem_attributes, split_done
from septum.kvm.tdp.split_shared import start_dirty_logging
from septum.kvm.virt.gmem import hole_punched
from septum.kvm.virt.gmem_split import kvm_gmem_punch_hole_split
from septum.kvm.vmx.vcpu import fault, touch
from septum.lang import call
from septum.scenarios.world import TWO_VCPUS, World, scenario
from septum.tdx.guest import page_accepted

NEEDS = ("split_external_spte",)


@scenario(
    "a conversion splits a 2M leaf while a vCPU faults in it and beside it",
    witnesses=(split_done, converted, page_mapped, page_accepted),
    tables=3, pages=1, vcpus=1, others=1, folios=1, linked=1, larger=TWO_VCPUS, needs=NEEDS, levels=3,
)  # fmt: skip
def split(world: World) -> None:
    """DEMOTE meets a page that is augmented or a vCPU that was not kicked; the fault maps 4K below a leaf that is still 2M."""
    td = world.td()
    td.maps_huge(0, accepted=True)
    for vcpu in td.vcpus(VCPUS.value):
        vcpu.runs((fault, 1), (touch, 2))
    td.runs("convert", call(kvm_vm_set_mem_attributes, td.vm, 0, 0))


@scenario(
    "a conversion splits a 2M leaf while a vCPU accepts 4K of it, and of another",
    witnesses=(split_done, converted, page_accepted),
    tables=4, pages=0, vcpus=1, others=2, folios=2, linked=1, larger=TWO_VCPUS, needs=NEEDS, levels=3,
)  # fmt: skip
def two_splits(world: World) -> None:
    """The split of a fault and that of a conversion share a pool, and one of them runs dry under mmu_lock."""
    td = world.td()
    td.maps_huge(0, accepted=False)
    td.maps_huge(2, accepted=False)
    first, *others = td.vcpus(VCPUS.value)
    first.runs((touch, 2), (touch, 1))
    for vcpu in others:
        vcpu.runs((touch, 2))
    td.runs("convert", call(kvm_vm_set_mem_attributes, td.vm, 0, 0))


@scenario(
    "a conversion splits a 2M leaf while a hole that is punched in a part of another splits that: two splits without a vCPU",
    witnesses=(split_done, converted, hole_punched),
    tables=4, pages=0, vcpus=1, others=2, folios=2, linked=1, needs=NEEDS, levels=3,
)  # fmt: skip
def split_punch_hole(world: World) -> None:
    """Two splits under different mutexes of KVM take one page from the pool of the VM, or one finds too few there."""
    td = world.td()
    td.maps_huge(0, accepted=True)
    td.maps_huge(2, accepted=True)
    td.runs("convert", call(kvm_vm_set_mem_attributes, td.vm, 0, 0))
    td.runs("punch hole", call(kvm_gmem_punch_hole_split, td.vm, 2, 2))


@scenario(
    "dirty logging splits two 2M leaves at a time, with mmu_lock held for read",
    witnesses=(split_done,), tables=4, pages=0, vcpus=1, others=2, folios=2, linked=1, needs=("split_under_read_lock",),
)  # fmt: skip
def dirty_logging(world: World) -> None:
    """Two splits under mmu_lock held for read take the same page from the pool, or drop it when they lose a race."""
    td = world.td()
    for number, gfn in enumerate((0, 2)):
        td.maps_huge(gfn, accepted=True)
        td.runs(f"dirty log {number}", call(start_dirty_logging, td.vm, gfn))


@scenario(
    "one TD splits a 2M leaf, another faults and punches a hole: their pages may share 2M ranges",
    witnesses=(split_done, page_mapped),
    tables=4, pages=1, vcpus=1, others=1, vms=2, folios=1, linked=1, needs=NEEDS, levels=3,
)  # fmt: skip
def split_two_tds(world: World) -> None:
    """The pair of the split 2M page lies where the other TD's last page is freed at the same time."""
    first, second = world.td(apart=True), world.td(apart=True)
    first.maps_huge(0, accepted=True)
    first.runs("convert", call(kvm_vm_set_mem_attributes, first.vm, 0, 0))
    for vcpu in second.vcpus(1):
        vcpu.runs((touch, 0))
