"""The private side of KVM beside the VMM that drives it: every scenario explored to the end, for the designs that were merged."""

from __future__ import annotations

import pytest

from benchmarks.families import is_documented
from septum.check.check import check
from septum.check.loading import load
from septum.check.result import Verdict
from septum.explore.build import build
from septum.lang import UserError
from septum.scenarios.build import BUILDING
from septum.scenarios.convert import CONVERSIONS
from septum.scenarios.files import FILES_OF_A_VM
from septum.scenarios.moves import change_cpus
from septum.scenarios.prefault import PREFAULTS
from septum.scenarios.tds import teardown_tables
from septum.scenarios.unaccepted import UNACCEPTED
from tests.lang.parity import assert_same

UPSTREAM, DESIGNS = "kvm_upstream", ("kvm_upstream", "kvm_dpamt_merged", "kvm_dpamt_merged_split")
SCENARIOS = [one.name for one in (*CONVERSIONS, *UNACCEPTED, *PREFAULTS, *FILES_OF_A_VM, *BUILDING, change_cpus, teardown_tables)]
FOUND = {"finalize_punch_hole": "asserts"}
SCHEDULES = 8


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_scenario_is_explored_to_the_end(design, scenario):
    result = check(design, scenario, races=design == UPSTREAM)
    if result.verdict is Verdict.NOT_APPLICABLE:
        assert scenario == "convert_ends"
        return
    assert is_documented(design, result)
    if scenario in FOUND:
        assert (result.verdict, result.property) == (Verdict.VIOLATED, FOUND[scenario])
    else:
        assert result.verdict is Verdict.HOLDS, f"{result.property}: {result.clause} {result.reason}"


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "convert_ends"])
def test_both_engines_leave_the_same_bytes(scenario):
    model = load(UPSTREAM)
    built = build(model, next(one for one in model.scenarios if one.name == scenario))
    assert sum(assert_same(built, seed, 400) for seed in range(SCHEDULES)) > SCHEDULES * 10


@pytest.mark.parametrize("scenario", ["convert_both_ways", "yielding", "prefault_delete", "populate_punch_hole"])
def test_reductions_change_no_verdict(scenario):
    reduced, whole = check(UPSTREAM, scenario), check(UPSTREAM, scenario, reduce=frozenset())
    assert (reduced.verdict, reduced.witnesses) == (whole.verdict, whole.witnesses)


class TestReleases:
    """What was fixed from one release to the next is broken before."""

    @pytest.mark.parametrize(("kernel", "holds"), [("6.16", False), ("6.18", False), ("7.2", True)])
    def test_vp_init_beside_a_punched_hole(self, kernel, holds):
        """Fixed by taking mmu_lock around VP.INIT [6.19]."""
        result = check(UPSTREAM, "populate_punch_hole", kernel=kernel)
        assert result.holds == holds
        assert holds or "TDX_OPERAND_BUSY" in result.clause

    @pytest.mark.parametrize(("kernel", "holds"), [("6.16", False), ("6.18", True), ("7.2", True)])
    def test_a_prefault_beside_the_deletion_of_its_slot(self, kernel, holds):
        """Fixed by -EAGAIN [6.18]; before, the prefault goes round for ever in the SRCU section that the deletion waits for."""
        result = check(UPSTREAM, "prefault_delete", kernel=kernel, property="progress")
        assert (result.verdict is not Verdict.VIOLATED) == holds

    @pytest.mark.parametrize(("kernel", "holds"), [("6.16", False), ("6.18", True)])
    def test_a_slot_that_goes_before_the_release_of_its_file(self, kernel, holds):
        """Fixed by erasing the bindings of a dying file too [6.18]; before, the release wrote to the slot after its free."""
        result = check(UPSTREAM, "close_delete", kernel=kernel)
        assert result.holds == holds
        assert holds or "after its free" in result.clause

    @pytest.mark.parametrize("kernel", ["6.16", "6.18"])
    @pytest.mark.parametrize("scenario", ["fault_convert", "finalize_prefault", "life"])
    def test_what_else_there_is_holds_before_too(self, kernel, scenario):
        """Premapping and pinned pages."""
        assert check(UPSTREAM, scenario, kernel=kernel).holds

    def test_a_release_that_the_model_does_not_follow(self):
        with pytest.raises(UserError, match=r"no kernel 6\.17; there are 6\.16, 6\.18, 7\.2"):
            check(UPSTREAM, "fault_convert", kernel="6.17")

    def test_the_local_retry_beside_the_deletion_of_its_slot(self):
        assert check(UPSTREAM, "memslot_delete", kernel="6.16", property="progress").verdict is Verdict.VIOLATED
        assert check(UPSTREAM, "memslot_delete", kernel="6.18", property="progress").holds
