"""VMs are created, populated, finalized and run, as a kernel selftest does it, while other threads of the VMM interfere.

What can go wrong: a zap finds the TDR taken by VP.INIT or MR.FINALIZE twice in a row, which it may not; a page is added twice,
or to a TD that runs, or augmented before it does; a page is punched out between its folio and its PAGE.ADD; a prefault that is
allowed sees a TD that is not finalized; two vCPUs allocate two roots.
"""

from septum.host.frames import FRAME_MEMORY, PW_MCE, WrittenPrivately
from septum.host.geometry import VCPUS
from septum.host.signals import SIGNALS, interrupted
from septum.kvm.bug import page_mapped
from septum.kvm.exits import UserRange
from septum.kvm.machine import VCPU_RANGE
from septum.kvm.mmu.mirror_root import root_shared
from septum.kvm.mmu.prefault import kvm_vcpu_pre_fault_memory, prefaulted
from septum.kvm.virt.gmem import hole_punched, kvm_gmem_punch_hole
from septum.kvm.vmx.life import (
    KILLABLE,
    finalized,
    killed,
    kvm_create_vm,
    kvm_vm_ioctl_create_vcpu,
    tdx_td_finalize,
    tdx_td_init,
    tdx_vcpu_init,
    vcpu_initialized,
    wait_for_run,
    wait_for_td,
    wait_for_vcpu,
)
from septum.kvm.vmx.populate import populated, tdx_vcpu_init_mem_region
from septum.kvm.vmx.vcpu import kvm_vcpu_ioctl_run
from septum.kvm.x86.guest import init_mem_region
from septum.kvm.x86.vm import close_vcpu, close_vm, kvm_destroy_vm, rcu_softirq, vm_destroyed
from septum.lang import Call, call
from septum.scenarios.world import BUILT, THREE_VCPUS, World, scenario
from septum.tdx.guest import page_accepted


def initialised(vm: int, *vcpus: int) -> tuple[Call, ...]:
    """KVM_CREATE_VM, KVM_TDX_INIT_VM, and for each vCPU KVM_CREATE_VCPU and KVM_TDX_INIT_VCPU."""
    made = [call(kvm_create_vm, vm), call(tdx_td_init, vm)]
    for vcpu in vcpus:
        made += [call(kvm_vm_ioctl_create_vcpu, vm, vcpu), call(tdx_vcpu_init, vcpu)]
    return tuple(made)


def new_vcpus(world: World) -> list[int]:
    """All that the scope has."""
    return [world.new_vcpu() for _ in range(VCPUS.value)]


@scenario(
    "a page is populated and measured while another vCPU is initialised, and a hole is punched",
    witnesses=(populated, vcpu_initialized, hole_punched), tables=3, pages=2, others=1, built=1,
    larger=THREE_VCPUS,
)  # fmt: skip
def populate_punch_hole(world: World) -> None:
    """VP.INIT and PAGE.ADD find the TDR taken twice in a row, which they may not; a page is punched out before its ADD."""
    vm, first, *others = world.vm(), *new_vcpus(world)
    world.setup.thread("populate", *initialised(vm, first), call(tdx_vcpu_init_mem_region, first, 0, 2, True))
    for number, vcpu in enumerate(others, 1):
        world.setup.thread(f"vCPU {number}", call(wait_for_vcpu, first), *initialised(vm, vcpu)[2:])
    world.setup.thread("punch hole", call(wait_for_td, vm), call(kvm_gmem_punch_hole, vm, 0, 0))


@scenario(
    "a TD is finalized while a hole is punched in its initial image",
    witnesses=(populated, finalized, hole_punched), tables=3, pages=2, others=1, vcpus=1, built=1,
)  # fmt: skip
def finalize_punch_hole(world: World) -> None:
    """MR.FINALIZE comes between BLOCK and REMOVE of a page, so that a TRACK is missing, or makes the BLOCK busy twice."""
    vm, vcpu = world.vm(), world.new_vcpu()
    world.setup.thread(
        "build", *initialised(vm, vcpu), call(tdx_vcpu_init_mem_region, vcpu, 0, 1, False), call(tdx_td_finalize, vm)
    )
    world.setup.thread("punch hole", call(wait_for_td, vm), call(kvm_gmem_punch_hole, vm, 0, 0))


@scenario(
    "signals interrupt the population of a TD, and the VMM asks for the rest again, while a hole is punched",
    witnesses=(populated, interrupted, hole_punched), tables=3, pages=2, others=1, vcpus=1, built=1,
    sizes={SIGNALS: 1, VCPU_RANGE: UserRange},
)  # fmt: skip
def populate_signals(world: World) -> None:
    """A page is added and measured twice when the VMM goes on, or left out; the hole takes what was not yet counted."""
    vm, vcpu = world.vm(), world.new_vcpu()
    world.setup.thread("populate", *initialised(vm, vcpu), call(init_mem_region, vcpu, 0, 2))
    world.setup.thread("punch hole", call(wait_for_td, vm), call(kvm_gmem_punch_hole, vm, 0, 0))


@scenario(
    "a TD is finalized while a vCPU prefaults, and then it runs",
    witnesses=(populated, finalized, prefaulted, page_mapped, page_accepted), tables=3, pages=2, others=0, built=1,
    larger=THREE_VCPUS,
)  # fmt: skip
def finalize_prefault(world: World) -> None:
    """A prefault augments a page before the TD runs, or populates one that was added already."""
    vm, vcpus = world.vm(), new_vcpus(world)
    first, *others = vcpus
    build = (*initialised(vm, *vcpus), call(tdx_vcpu_init_mem_region, first, 0, 1, False), call(tdx_td_finalize, vm))
    world.setup.thread("build", *build, call(kvm_vcpu_ioctl_run, first, 1))
    for number, vcpu in enumerate(others):
        world.setup.thread(f"prefault {number}", call(wait_for_vcpu, vcpu), call(kvm_vcpu_pre_fault_memory, vcpu, 0, 2))


@scenario(
    "two vCPUs run for the first time: one mirror root for both",
    witnesses=(finalized, root_shared, page_mapped, page_accepted), tables=3, pages=2, others=1, built=1,
)  # fmt: skip
def first_runs(world: World) -> None:
    """Two vCPUs allocate two mirror roots, or one runs without; a reference is lost."""
    vm, vcpus = world.vm(), new_vcpus(world)
    world.setup.thread("build", *initialised(vm, *vcpus), call(tdx_td_finalize, vm))
    for number, vcpu in enumerate(vcpus):
        world.setup.thread(f"vCPU {number}", call(wait_for_run, vm), call(kvm_vcpu_ioctl_run, vcpu, 0))


@scenario(
    "a TD is created, populated, run and destroyed to the last page while another TD runs",
    witnesses=(populated, finalized, page_accepted, vm_destroyed), tables=6, pages=3, others=2, vcpus=2, vms=2, built=1,
)  # fmt: skip
def life(world: World) -> None:
    """A page of the build, of the run or of the vCPUs is left at the end, or its pair is, in a 2M range of both TDs."""
    td = world.td(apart=True)
    for vcpu in td.vcpus(1):
        vcpu.runs((kvm_vcpu_ioctl_run, 0))
    vm, first = world.vm(), world.new_vcpu()
    build = (*initialised(vm, first), call(tdx_vcpu_init_mem_region, first, 0, 1, False), call(tdx_td_finalize, vm))
    world.setup.thread(
        "life", *build, call(kvm_vcpu_ioctl_run, first, 1), call(close_vcpu, first), call(close_vm, vm), call(kvm_destroy_vm, vm)
    )
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a TD is created, populated, run and destroyed on a CPU with the partial-write erratum, while a hole is punched in it",
    witnesses=(populated, finalized, page_accepted, hole_punched, vm_destroyed), tables=3, pages=3, others=3, vcpus=1, built=1,
    sizes={PW_MCE: 1, FRAME_MEMORY: WrittenPrivately},
)  # fmt: skip
def erratum(world: World) -> None:
    """A page that the TD wrote goes back to the host without being rewritten, and a partial write to it is a machine check."""
    vm, vcpu = world.vm(), world.new_vcpu()
    build = (*initialised(vm, vcpu), call(tdx_vcpu_init_mem_region, vcpu, 0, 1, False), call(tdx_td_finalize, vm))
    end = (call(close_vcpu, vcpu), call(close_vm, vm), call(kvm_destroy_vm, vm))
    world.setup.thread("life", *build, call(kvm_vcpu_ioctl_run, vcpu, 1), *end)
    world.setup.thread("punch hole", call(wait_for_run, vm), call(kvm_gmem_punch_hole, vm, 1, 1))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "fatal signals end ioctls that change the state of a TD while they take the mutexes of its vCPUs, which run",
    witnesses=(killed, page_accepted), tables=3, pages=2, others=2, sizes={**BUILT, KILLABLE: 1},
)  # fmt: skip
def killed_ioctls(world: World) -> None:
    """A mutex that was taken is not given back, and who runs the vCPU waits for it for ever."""
    td = world.td()
    for vcpu in td.vcpus(2):
        vcpu.runs((kvm_vcpu_ioctl_run, 0))
    for number in range(2):
        td.runs(f"finalize {number}", call(tdx_td_finalize, td.vm))


BUILDING = (
    populate_punch_hole, populate_signals, finalize_punch_hole, finalize_prefault, first_runs, killed_ioctls, life, erratum,
)  # fmt: skip
