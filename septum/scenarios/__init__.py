"""Who runs what in a check, one file a family. `SCENARIOS` has them in the order in which a table shows them.

`KVM` has the scenarios of KVM's own side, in which designs differ little or not at all: they make models of their own, one for
the kernel that was released and one for each design that was merged.
"""

from septum.designs.upstream import design as upstream
from septum.host.geometry import DYNAMIC_PAMT
from septum.kvm.design import Design
from septum.kvm.machine import Machine
from septum.kvm.versions import KERNEL, NEXT, V7_3
from septum.lang import Model, Scenario
from septum.properties import KVM_PROPERTIES, PROPERTIES
from septum.scenarios.brought import beside
from septum.scenarios.build import BUILDING
from septum.scenarios.convert import CONVERSIONS
from septum.scenarios.direct import (
    age_alias,
    age_notifier,
    age_track,
    age_zap,
    copy_on_write,
    fast_zap_faults,
    fast_zap_notifier,
    fast_zap_tables,
    notifier,
    notifier_alias,
    notifier_range,
    nx_recovery,
    nx_recovery_age,
    nx_recovery_zap,
    plain_teardown,
)
from septum.scenarios.dirty_log import (
    log_1g,
    log_eager,
    log_initially_set,
    log_lazy,
    log_manual,
    log_pml,
    log_set_lazy,
    log_track,
    log_writes,
    recover,
    recover_1g,
    recover_age,
)
from septum.scenarios.failures import FAILURES, FAILURES_OF_A_LIFE
from septum.scenarios.faults import neighbours, neighbours_enomem, same_gfn, same_gfn_enomem, zero_step
from septum.scenarios.files import FILES_OF_A_VM
from septum.scenarios.inject import INJECT
from septum.scenarios.memslots import memslot_delete
from septum.scenarios.moves import change_cpus, install_without_vcpu
from septum.scenarios.prefault import PREFAULTS
from septum.scenarios.punch_hole import punch_hole, punch_hole_zero_step
from septum.scenarios.scopes import SCOPES
from septum.scenarios.slots import SLOTS
from septum.scenarios.split import dirty_logging, split, split_punch_hole, split_two_tds, two_splits
from septum.scenarios.tds import rcu_callbacks, split_teardown, teardown, teardown_tables, two_tds
from septum.scenarios.unaccepted import UNACCEPTED
from septum.scenarios.views import VIEWS
from septum.tdx.versions import MODULE

SCENARIOS = (
    same_gfn, same_gfn_enomem, neighbours, neighbours_enomem, zero_step, punch_hole, punch_hole_zero_step, two_tds, teardown,
    rcu_callbacks, split, two_splits, split_punch_hole, dirty_logging, split_two_tds, split_teardown,
)  # fmt: skip

KVM = (
    *CONVERSIONS, *UNACCEPTED, *PREFAULTS, *FILES_OF_A_VM, *BUILDING, change_cpus, install_without_vcpu, teardown_tables,
    memslot_delete, *VIEWS, *FAILURES_OF_A_LIFE,
)  # fmt: skip
PLAIN_VMS = (
    notifier, notifier_alias, notifier_range, copy_on_write,
    fast_zap_faults, fast_zap_notifier, fast_zap_tables, age_zap, age_notifier, age_alias, age_track,
    *SLOTS,
    nx_recovery, nx_recovery_zap, plain_teardown, log_writes, log_track, log_pml, log_eager, log_lazy,
    log_manual, log_initially_set, log_set_lazy, log_1g, recover, recover_1g, recover_age, nx_recovery_age,
)  # fmt: skip


def kvm_model(design: Design, own: tuple[Scenario, ...] = ()) -> Model:
    """The machine with this design's operations, every scenario and those of its `own`, with its threads, every property."""
    scenarios = tuple(beside(one, design.threads) for one in (*own, *SCENARIOS, *FAILURES))
    return Model(design.name, Machine, scenarios, PROPERTIES, _bindings(design), design.operations, design.file, SCOPES)


def plain_vms() -> Model:
    """VMs that are no TDs: the design does not matter."""
    return Model("kvm", Machine, PLAIN_VMS, KVM_PROPERTIES, _bindings(upstream), upstream.operations, None, SCOPES)


def kvm_side(design: Design) -> Model:
    """The same with the scenarios of KVM's own side."""
    scenarios = tuple(beside(one, design.threads) for one in KVM)
    return Model(
        f"kvm_{design.name}", Machine, scenarios, KVM_PROPERTIES, _bindings(design), design.operations, design.file, SCOPES
    )


def _bindings(design: Design) -> dict[object, object]:
    """What the design fixes, the newest kernel that can have it and the oldest TDX module, which a check may replace."""
    fixed = design.bindings()
    return {KERNEL: NEXT if fixed.get(DYNAMIC_PAMT) else V7_3, MODULE: 0, INJECT: 0, **fixed}


__all__ = ["FAILURES", "KVM", "PLAIN_VMS", "SCENARIOS", "SCOPES", "kvm_model", "kvm_side", "plain_vms"]
