"""vCPUs fault in private memory at the same time."""

from septum.host.frames import allocation_failed
from septum.host.geometry import ENTRIES, VCPUS
from septum.kvm.bug import lost_race, met_frozen, page_mapped, table_freed_unused
from septum.kvm.vmx.vcpu import touch
from septum.scenarios.world import ONE_VM, World, scenario
from septum.tdx.guest import page_accepted
from septum.tdx.locks import busy

RACES = (lost_race, met_frozen, table_freed_unused, page_mapped, page_accepted)


@scenario("vCPUs fault on the same 4K page", witnesses=RACES, **ONE_VM)
def same_gfn(world: World) -> None:
    """Two vCPUs link two tables into one entry, or augment one S-EPT entry twice; the loser's table and its pair leak."""
    for vcpu in world.td().vcpus(VCPUS.value):
        vcpu.runs((touch, 0))


@scenario("vCPUs fault on the same 4K page, an allocation fails", witnesses=(*RACES, allocation_failed), **ONE_VM)
def same_gfn_enomem(world: World) -> None:
    """What the failed fault holds so far leaks, or goes back to the wrong pool; a count stands for a pair that is not there."""
    world.m.failures = 1
    for vcpu in world.td().vcpus(VCPUS.value):
        vcpu.runs((touch, 0))


@scenario("vCPUs fault on neighbouring 4K pages of one table", witnesses=RACES, **ONE_VM)
def neighbours(world: World) -> None:
    """A vCPU goes on below a table that is not there yet; two pairs are added for one 2M range, or none."""
    for gfn, vcpu in enumerate(world.td().vcpus(VCPUS.value)):
        vcpu.runs((touch, gfn % 2))


@scenario("vCPUs fault on neighbouring 4K pages, an allocation fails", witnesses=(*RACES, allocation_failed), **ONE_VM)
def neighbours_enomem(world: World) -> None:
    """The fault that failed takes the pair away that the page beside it rests on."""
    world.m.failures = 1
    for gfn, vcpu in enumerate(world.td().vcpus(VCPUS.value)):
        vcpu.runs((touch, gfn % 2))


@scenario("vCPUs fault below two tables while the zero-step mitigation is active", witnesses=(*RACES, busy), levels=3, **ONE_VM)
def zero_step(world: World) -> None:
    """The tree is BUSY for as long as another vCPU faults: a table stays FROZEN, is freed twice or leaks on the way back."""
    world.m.zero_step = True
    for number, vcpu in enumerate(world.td().vcpus(VCPUS.value)):
        vcpu.runs((touch, number % 2 * ENTRIES.value))
