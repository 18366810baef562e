"""Scenarios to measure in, one actor each: the depth and the pools of a real machine, every page in a 2M range of its own.

So a fault finds no pair that it could share, and takes as much as any fault can.
"""

from septum.host.geometry import (
    CACHE_CAPACITY,
    DYNAMIC_PAMT,
    FIXED_RANGES,
    LAZY_RANGES,
    LEVELS,
    PT64_ROOT_MAX_LEVEL,
    RANGES,
    VCPUS,
)
from septum.kvm.bug import page_mapped
from septum.kvm.mmu.mmu import TOPS_UP
from septum.kvm.tdp.split import converted, kvm_vm_set_mem_attributes, split_done
from septum.kvm.vmx.vcpu import fault
from septum.lang import call
from septum.scenarios.split import NEEDS
from septum.scenarios.world import World, scenario

REAL = {
    LEVELS: 5, PT64_ROOT_MAX_LEVEL: 5, CACHE_CAPACITY: 40, LAZY_RANGES: 2,
    RANGES: lambda: FIXED_RANGES.value + DYNAMIC_PAMT.value * (VCPUS.value * CACHE_CAPACITY.value + 16),
}  # fmt: skip


@scenario(
    "one fault with five levels and the caches of a real machine",
    witnesses=(page_mapped,), tables=2, pages=1, vcpus=1, sizes=REAL, few_states=True,
)  # fmt: skip
def real_fault(world: World) -> None:
    for vcpu in world.td().vcpus(1):
        vcpu.runs((fault, 0))


@scenario(
    "one such fault, and all pages lie in the range of the TDR, which is backed",
    witnesses=(page_mapped,), tables=2, pages=1, vcpus=1, sizes={**REAL, LAZY_RANGES: 3}, few_states=True,
)  # fmt: skip
def shared_fault(world: World) -> None:
    for vcpu in world.td().vcpus(1):
        vcpu.runs((fault, 0))


@scenario(
    "one fault that finds its caches empty",
    witnesses=(), tables=2, pages=1, vcpus=1, sizes={**REAL, TOPS_UP: 0}, few_states=True,
)  # fmt: skip
def dry_fault(world: World) -> None:
    for vcpu in world.td().vcpus(1):
        vcpu.runs((fault, 0))


@scenario(
    "one conversion that splits a 2M leaf, with the caches of a real machine",
    witnesses=(split_done, converted), tables=3, pages=0, vcpus=1, others=1, folios=1, linked=1,
    sizes={**REAL, RANGES: lambda: FIXED_RANGES.value + DYNAMIC_PAMT.value * 24}, needs=NEEDS, few_states=True,
)  # fmt: skip
def real_split(world: World) -> None:
    td = world.td()
    td.maps_huge(0, accepted=True)
    td.runs("convert", call(kvm_vm_set_mem_attributes, td.vm, 0, 0))


MEASURES = (real_fault, shared_fault, dry_fault, real_split)
