"""VMs are created, populated, finalized and run, as a kernel selftest does it, while other threads of the VMM interfere.

What can go wrong: a zap finds the TDR taken by VP.INIT or MR.FINALIZE twice in a row, which it may not; a page is added twice,
or to a TD that runs, or augmented before it does; a page is punched out between its folio and its PAGE.ADD; a prefault that is
allowed sees a TD that is not finalized; two vCPUs allocate two roots.
"""

from septum.kvm.gmem import hole_punched, kvm_gmem_punch_hole
from septum.kvm.life import (
    finalized,
    kvm_create_vm,
    kvm_vm_ioctl_create_vcpu,
    state_locked,
    tdx_td_finalize,
    tdx_td_init,
    tdx_vcpu_init,
    vcpu_initialized,
    wait_for_td,
    wait_for_vcpu,
)
from septum.kvm.populate import populated, tdx_vcpu_init_mem_region
from septum.lang import Call, call
from septum.scenarios.world import World, scenario


def initialised(vm: int, *vcpus: int) -> tuple[Call, ...]:
    """KVM_CREATE_VM, KVM_TDX_INIT_VM, and for each vCPU KVM_CREATE_VCPU and KVM_TDX_INIT_VCPU."""
    made = [call(kvm_create_vm, vm), call(tdx_td_init, vm)]
    for vcpu in vcpus:
        made += [call(kvm_vm_ioctl_create_vcpu, vm, vcpu), call(tdx_vcpu_init, vcpu)]
    return tuple(made)


@scenario(
    "a page is populated and measured while another vCPU is initialised, and a hole is punched",
    witnesses=(populated, vcpu_initialized, state_locked, hole_punched), tables=3, pages=2, others=1, built=1,
)  # fmt: skip
def populate_punch_hole(world: World) -> None:
    vm, first, second = world.vm(), world.new_vcpu(), world.new_vcpu()
    world.setup.thread("populate", *initialised(vm, first), call(tdx_vcpu_init_mem_region, first, 0, 1, True))
    world.setup.thread("vCPU", call(wait_for_vcpu, first), *initialised(vm, second)[2:])
    world.setup.thread("punch hole", call(wait_for_td, vm), call(kvm_gmem_punch_hole, vm, 0, 0))


@scenario(
    "a TD is finalized while a hole is punched in its initial image",
    witnesses=(populated, finalized, hole_punched), tables=3, pages=2, others=1, vcpus=1, built=1,
)  # fmt: skip
def finalize_punch_hole(world: World) -> None:
    vm, vcpu = world.vm(), world.new_vcpu()
    world.setup.thread(
        "build", *initialised(vm, vcpu), call(tdx_vcpu_init_mem_region, vcpu, 0, 1, False), call(tdx_td_finalize, vm)
    )
    world.setup.thread("punch hole", call(wait_for_td, vm), call(kvm_gmem_punch_hole, vm, 0, 0))


BUILDING = (populate_punch_hole, finalize_punch_hole)
