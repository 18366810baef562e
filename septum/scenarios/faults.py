"""vCPUs fault in private memory at the same time."""

from septum.host.frames import allocation_failed
from septum.host.geometry import ENTRIES, VCPUS
from septum.kvm.bug import lost_race, met_frozen, page_mapped, table_freed_unused
from septum.kvm.vcpu import touch
from septum.scenarios.world import ONE_VM, World, scenario
from septum.tdx.guest import page_accepted
from septum.tdx.locks import busy

RACES = (lost_race, met_frozen, table_freed_unused, page_mapped, page_accepted)


@scenario("vCPUs fault on the same 4K page", witnesses=RACES, **ONE_VM)
def same_gfn(world: World) -> None:
    for vcpu in world.td().vcpus(VCPUS.value):
        vcpu.runs((touch, 0))


@scenario("vCPUs fault on the same 4K page, an allocation fails", witnesses=(*RACES, allocation_failed), **ONE_VM)
def same_gfn_enomem(world: World) -> None:
    world.m.failures = 1
    for vcpu in world.td().vcpus(VCPUS.value):
        vcpu.runs((touch, 0))


@scenario("vCPUs fault on neighbouring 4K pages of one table", witnesses=RACES, **ONE_VM)
def neighbours(world: World) -> None:
    for gfn, vcpu in enumerate(world.td().vcpus(VCPUS.value)):
        vcpu.runs((touch, gfn % 2))


@scenario("vCPUs fault on neighbouring 4K pages, an allocation fails", witnesses=(*RACES, allocation_failed), **ONE_VM)
def neighbours_enomem(world: World) -> None:
    world.m.failures = 1
    for gfn, vcpu in enumerate(world.td().vcpus(VCPUS.value)):
        vcpu.runs((touch, gfn % 2))


@scenario("vCPUs fault below two tables while the zero-step mitigation is active", witnesses=(*RACES, busy), levels=3, **ONE_VM)
def zero_step(world: World) -> None:
    world.m.zero_step = True
    for number, vcpu in enumerate(world.td().vcpus(VCPUS.value)):
        vcpu.runs((touch, number % 2 * ENTRIES.value))
