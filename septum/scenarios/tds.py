"""More than one TD, and the end of one."""

from septum.host.geometry import ENTRIES, GFNS, VCPUS
from septum.kvm.bug import page_mapped
from septum.kvm.tdp.changed_spte import PROVE_MMU, tables_removed
from septum.kvm.tdp.split import kvm_vm_set_mem_attributes, split_done
from septum.kvm.virt.gmem import hole_punched, kvm_gmem_punch_hole
from septum.kvm.vmx.vcpu import touch
from septum.kvm.x86.vm import close_vcpu, close_vm, kvm_destroy_vm, rcu_softirq, vm_destroyed
from septum.lang import call
from septum.scenarios.split import NEEDS
from septum.scenarios.world import FOUR_LEVELS, ONE_VM, TWO_VCPUS, World, scenario


@scenario(
    "two TDs, whose pages may share 2M ranges, fault and punch holes",
    witnesses=(page_mapped, hole_punched), tables=4, pages=2, vms=2,
)  # fmt: skip
def two_tds(world: World) -> None:
    """The last page of one TD takes the pair away that the other has just counted on; both add a pair for one 2M range."""
    for td in (world.td(apart=True), world.td(apart=True)):
        for vcpu in td.vcpus(1):
            vcpu.runs((touch, 0), then=[call(kvm_gmem_punch_hole, td.vm, 0, 0)])


@scenario(
    "a VM is destroyed to the last page after its vCPUs faulted",
    witnesses=(page_mapped, vm_destroyed), **{**ONE_VM, "larger": FOUR_LEVELS},
)  # fmt: skip
def teardown(world: World) -> None:
    """A page is freed with the key still in use, or before its cache lines are flushed; a pair, a table or a pool is left."""
    td = world.td()
    for gfn, vcpu in enumerate(td.vcpus(VCPUS.value)):
        vcpu.runs((touch, gfn), (close_vcpu,))
    td.runs("destroy", call(kvm_destroy_vm, td.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a VM is destroyed whose mirror tables of 1G go with all that they link",
    witnesses=(page_mapped, tables_removed, vm_destroyed), levels=3,
    **{**ONE_VM, "tables": 4, "sizes": {PROVE_MMU: 1}, "larger": FOUR_LEVELS},
)  # fmt: skip
def teardown_tables(world: World) -> None:
    """An S-EPT page two levels below is not reclaimed before the TDR, or the mirror of it waits for RCU twice."""
    td = world.td()
    for number, vcpu in enumerate(td.vcpus(VCPUS.value)):
        vcpu.runs((touch, number % 2 * ENTRIES.value), (close_vcpu,))
    td.runs("destroy", call(kvm_destroy_vm, td.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a VM is destroyed while another TD faults: the RCU callbacks of its tables run beside process context",
    witnesses=(page_mapped, vm_destroyed), tables=4, pages=1, vcpus=1, others=2, vms=2, linked=1, alone=1, levels=3,
)  # fmt: skip
def rcu_callbacks(world: World) -> None:
    """A softirq takes a lock that process context holds with interrupts on, or sleeps; a pair goes that the other TD needs."""
    first, second = world.td(apart=True), world.td(apart=True)
    first.link(0, 2, alone=True)
    first.runs("destroy", call(kvm_destroy_vm, first.vm))
    for vcpu in second.vcpus(1):
        vcpu.runs((touch, 0))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a VM is destroyed after a fault and a split: tables from every source end in one free function",
    witnesses=(page_mapped, split_done, vm_destroyed),
    tables=4, pages=1, vcpus=1, others=3, folios=1, linked=1, sizes={GFNS: 2 * GFNS.value}, larger=TWO_VCPUS,
    needs=NEEDS, levels=3,
)  # fmt: skip
def split_teardown(world: World) -> None:
    """A table that a split took from its pool is freed otherwise than one of a fault; the pair of a split 2M page stays."""
    td = world.td()
    td.maps_huge(0, accepted=True)
    for vcpu in td.vcpus(VCPUS.value):
        vcpu.runs((touch, GFNS.value // 2), (close_vcpu,))
    world.m.vm[td.vm].users += 1
    td.runs("convert", call(kvm_vm_set_mem_attributes, td.vm, 0, 0), call(close_vm, td.vm))
    td.runs("destroy", call(kvm_destroy_vm, td.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)
