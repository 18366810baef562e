"""A SEAMCALL fails, or an allocation: what KVM and the design do after it, to the end of the VM that is dead then."""

from septum.host.frames import allocation_failed
from septum.host.geometry import GFNS, LEVELS, VCPUS
from septum.kvm.bug import page_mapped, vm_died
from septum.kvm.tdp.split import converted, kvm_vm_set_mem_attributes, split_done
from septum.kvm.virt.gmem import hole_punched
from septum.kvm.virt.gmem_split import kvm_gmem_punch_hole_split
from septum.kvm.vmx.life import finalized
from septum.kvm.vmx.populate import populated
from septum.kvm.vmx.vcpu import kvm_vcpu_ioctl_run, touch
from septum.kvm.x86.guest import build
from septum.kvm.x86.vm import close_vcpu, close_vm, kvm_destroy_vm, rcu_softirq, vm_destroyed
from septum.lang import call
from septum.scenarios.build import initialised
from septum.scenarios.inject import INSTALLS, LEAVES, REMOVES, TEARDOWN, may_fail
from septum.scenarios.split import NEEDS
from septum.scenarios.world import ONE_VM, TWO_VCPUS, World, scenario
from septum.tdx.guest import page_accepted
from septum.tdx.injection import seamcall_failed
from septum.tdx.leaves import Leaf


@scenario(
    "vCPUs fault on the same 4K page below one level of tables, and a SEAMCALL of theirs fails",
    witnesses=(page_mapped, seamcall_failed, vm_died), few_states=True, **{**ONE_VM, "sizes": {LEVELS: 2}},
)  # fmt: skip
def same_gfn_fails(world: World) -> None:
    """A reference, a pair or a table stays behind a SEAMCALL that failed, or goes twice; an entry stays FROZEN."""
    may_fail(world.m, INSTALLS, busy=())
    for vcpu in world.td().vcpus(VCPUS.value):
        vcpu.runs((touch, 0))


@scenario(
    "a VM is destroyed after a vCPU faulted, and one SEAMCALL of its life fails",
    witnesses=(page_mapped, seamcall_failed, vm_died, vm_destroyed), **ONE_VM,
)  # fmt: skip
def teardown_fails(world: World) -> None:
    """More is leaked at the end of a dead VM than what the module kept; a count stands for a pair that is gone."""
    may_fail(world.m, (*INSTALLS, *REMOVES, *TEARDOWN))
    td = world.td()
    for vcpu in td.vcpus(1):
        vcpu.runs((touch, 0), (close_vcpu,))
    td.runs("destroy", call(kvm_destroy_vm, td.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a conversion splits a 2M leaf, and a SEAMCALL fails, to the end of the VM",
    witnesses=(split_done, seamcall_failed, vm_died, vm_destroyed),
    tables=4, pages=1, vcpus=1, others=3, folios=1, linked=1, sizes={GFNS: 2 * GFNS.value}, larger=TWO_VCPUS,
    needs=NEEDS, levels=3,
)  # fmt: skip
def split_fails(world: World) -> None:
    """The pair of a split that failed is lost, or freed while the module has it; users are counted that there are not."""
    may_fail(world.m, (*REMOVES, *TEARDOWN, Leaf.MEM_PAGE_DEMOTE, Leaf.PHYMEM_PAMT_REMOVE))
    td = world.td()
    td.maps_huge(0, accepted=True)
    world.m.vm[td.vm].users += 1
    td.runs("convert", call(kvm_vm_set_mem_attributes, td.vm, 0, 0), call(close_vm, td.vm))
    td.runs("destroy", call(kvm_destroy_vm, td.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a conversion and a hole that is punched split one 2M leaf at a time",
    witnesses=(split_done, converted, hole_punched),
    tables=4, pages=0, vcpus=1, others=2, folios=2, linked=1, needs=NEEDS, levels=3,
)  # fmt: skip
def split_same(world: World) -> None:
    """Who comes second splits a table, or frees what the first one linked."""
    td = world.td()
    td.maps_huge(0, accepted=True)
    td.runs("convert", call(kvm_vm_set_mem_attributes, td.vm, 0, 0))
    td.runs("punch hole", call(kvm_gmem_punch_hole_split, td.vm, 1, 1))


@scenario(
    "a conversion splits a 2M leaf, and another one, and an allocation fails, and PAMT.ADD",
    witnesses=(split_done, converted, allocation_failed, seamcall_failed),
    tables=4, pages=0, vcpus=1, others=2, folios=2, linked=1, needs=NEEDS, levels=3,
)  # fmt: skip
def split_enomem(world: World) -> None:
    """A split that found no memory keeps a table, half a pair or a lock; the next one finds the pool half full."""
    world.m.failures = 1
    may_fail(world.m, [Leaf.PHYMEM_PAMT_ADD])
    td = world.td()
    td.maps_huge(0, accepted=True)
    td.maps_huge(2, accepted=True)
    td.runs("convert", call(kvm_vm_set_mem_attributes, td.vm, 0, 0), call(kvm_vm_set_mem_attributes, td.vm, 2, 2))


def lives(world: World) -> None:
    """A VM from KVM_CREATE_VM to its end, in one thread."""
    vm, vcpu = world.vm(), world.new_vcpu()
    run = (call(build, vcpu), call(kvm_vcpu_ioctl_run, vcpu, 1))
    end = (call(close_vcpu, vcpu), call(close_vm, vm), call(kvm_destroy_vm, vm))
    world.setup.thread("life", *initialised(vm, vcpu), *run, *end)
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a VM is created, populated, run and destroyed, and one SEAMCALL fails",
    witnesses=(populated, finalized, page_accepted, seamcall_failed, vm_died, vm_destroyed),
    tables=3, pages=2, others=1, vcpus=1, built=1,
)  # fmt: skip
def life_fails(world: World) -> None:
    """What was allocated before the failure is left, or given back though the module has it; a dead VM is not destroyed."""
    may_fail(world.m, LEAVES)
    lives(world)


@scenario(
    "a VM is created, populated, run and destroyed, and an allocation fails",
    witnesses=(populated, finalized, page_accepted, allocation_failed, vm_destroyed),
    tables=3, pages=2, others=1, vcpus=1, built=1,
)  # fmt: skip
def life_enomem(world: World) -> None:
    """A page or a pair of what was begun is left when the rest cannot be had; the end of the VM trips over what is not there."""
    world.m.failures = 1
    lives(world)


FAILURES_OF_A_LIFE = (life_fails, life_enomem)
FAILURES = (same_gfn_fails, teardown_fails, split_fails, split_same, split_enomem)
