"""Who runs what in a check, one file a family. `SCENARIOS` has them in the order in which a table shows them."""

from septum.kvm.design import Design
from septum.kvm.machine import Machine
from septum.lang import Model
from septum.properties import PROPERTIES
from septum.scenarios.convert import convert_both_ways, convert_punch_hole, fault_convert, hypercalls
from septum.scenarios.faults import neighbours, neighbours_enomem, same_gfn, same_gfn_enomem, zero_step
from septum.scenarios.punch_hole import punch_hole, punch_hole_zero_step
from septum.scenarios.scopes import SCOPES
from septum.scenarios.split import dirty_logging, split, split_two_tds, two_splits
from septum.scenarios.tds import rcu_callbacks, split_teardown, teardown, two_tds

SCENARIOS = (
    same_gfn, same_gfn_enomem, neighbours, neighbours_enomem, zero_step, punch_hole, punch_hole_zero_step, two_tds, teardown,
    rcu_callbacks, split, two_splits, dirty_logging, split_two_tds, split_teardown,
)  # fmt: skip

KVM_SCENARIOS = (fault_convert, convert_both_ways, hypercalls, convert_punch_hole)
"""The kernel's own paths, in which a design has little part: for those named in WITH_KVM, and for a design in a file."""


def kvm_model(design: Design) -> Model:
    """The machine with this design's operations, every scenario, every property."""
    return Model(
        design.name, Machine, (*SCENARIOS, *KVM_SCENARIOS), PROPERTIES, design.bindings(), design.operations, design.file, SCOPES
    )


__all__ = ["SCENARIOS", "SCOPES", "kvm_model"]
