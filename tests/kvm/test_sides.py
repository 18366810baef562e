"""The private side of KVM beside the VMM that drives it: every scenario explored to the end, for the designs that were merged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.families import is_documented
from septum.check.check import check
from septum.check.loading import load
from septum.check.result import Verdict
from septum.explore.build import build
from septum.kvm.mmu.nx_recovery import kvm_recover_nx_huge_pages
from septum.kvm.versions import KERNEL, NEXT, V6_16, V6_18, V6_19, V7_3
from septum.kvm.vmx.life import state_locked
from septum.kvm.vmx.populate import TOPS_UP_AT_EACH_TRY
from septum.lang import UserError, scope
from septum.lang.types import _scopes
from septum.scenarios.build import BUILDING
from septum.scenarios.convert import CONVERSIONS
from septum.scenarios.files import FILES_OF_A_VM
from septum.scenarios.moves import change_cpus, install_without_vcpu
from septum.scenarios.prefault import PREFAULTS
from septum.scenarios.tds import teardown_tables
from septum.scenarios.unaccepted import UNACCEPTED
from tests.kvm.section7 import plain
from tests.lang.parity import assert_same

UPSTREAM, DESIGNS = "kvm_upstream", ("kvm_upstream", "kvm_dpamt_merged", "kvm_dpamt_merged_split")
MOVES = (change_cpus, install_without_vcpu, teardown_tables)
SCENARIOS = [one.name for one in (*CONVERSIONS, *UNACCEPTED, *PREFAULTS, *FILES_OF_A_VM, *BUILDING, *MOVES)]
FOUND = {"finalize_punch_hole": "asserts", "populate_two_files": "asserts"}
SCHEDULES = 8
AS_MERGED = [one.name for one in (*BUILDING, *MOVES)]
EXPLORED = [
    *((design, name) for design in (UPSTREAM, "kvm_dpamt_merged_split") for name in SCENARIOS),
    *(pytest.param("kvm_dpamt_merged", name, marks=pytest.mark.thorough) for name in AS_MERGED),
]


@pytest.mark.parametrize(("design", "scenario"), EXPLORED)
def test_a_scenario_is_explored_to_the_end(design, scenario):
    """The design as merged in what builds and ends a TD: elsewhere it is the one that can split, which is explored in all."""
    result = check(design, scenario)
    if result.verdict is Verdict.NOT_APPLICABLE:
        assert scenario == "convert_ends"
        return
    assert is_documented(design, result)
    found = FOUND | ({} if design == UPSTREAM else {"install_without_vcpu": "asserts"})
    if scenario in found:
        assert (result.verdict, result.property) == (Verdict.VIOLATED, found[scenario])
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

    @pytest.mark.parametrize(("kernel", "holds"), [("6.16", False), ("6.18", False), ("7.1", True)])
    def test_vp_init_beside_a_punched_hole(self, kernel, holds):
        """Fixed by taking mmu_lock around VP.INIT [6.19]."""
        result = check(UPSTREAM, "populate_punch_hole", kernel=kernel)
        assert result.holds == holds
        assert holds or "TDX_OPERAND_BUSY" in result.clause

    @pytest.mark.parametrize(("kernel", "holds"), [("6.16", False), ("6.18", True)])
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

    def test_a_split_holds_before_too(self):
        """Its pages are pinned as those of a leaf that was mapped."""
        assert check("dpamt_merged_split", "split", kernel="6.18").holds

    def test_a_design_that_makes_the_seamcalls_itself_is_the_same_before(self):
        """It pins what it maps."""
        assert check("dpamt_lazy", "two_tds", kernel="6.18").property == "backing"

    def test_a_release_that_the_model_does_not_follow(self):
        with pytest.raises(UserError, match=r"no kernel 6\.17; there are 6\.16, 6\.18, 7\.1, 7\.2, 7\.3, next"):
            check(UPSTREAM, "fault_convert", kernel="6.17")

    def test_the_local_retry_beside_the_deletion_of_its_slot(self):
        assert check(UPSTREAM, "memslot_delete", kernel="6.16", property="progress").verdict is Verdict.VIOLATED
        assert check(UPSTREAM, "memslot_delete", kernel="6.18", property="progress").holds

    def test_what_a_model_follows_unless_it_is_told_otherwise(self):
        """The newest release, and with Dynamic PAMT the tree after it."""
        follows = {name: load(name).bindings[KERNEL] for name in ("kvm", *DESIGNS)}
        assert follows == {"kvm": V7_3, "kvm_upstream": V7_3, "kvm_dpamt_merged": NEXT, "kvm_dpamt_merged_split": NEXT}

    @pytest.mark.parametrize(("kernel", "property"), [("6.16", ""), ("7.1", "accounting")])
    def test_aging_beside_nx_recovery(self, kernel, property):
        """Fixed by a compare and exchange [7.2]: nx_recovery_age holds by default; before, an AND took a bit of FROZEN.

        Until 6.17 NX recovery holds mmu_lock for write.
        """
        result = check("kvm", "nx_recovery_age", kernel=kernel)
        assert (result.holds, result.property) == (not property, property)

    @pytest.mark.parametrize(("kernel", "holds"), [("6.16", False), ("7.3", False), ("next", True)])
    def test_a_prefault_beside_the_deletion_of_another_slot(self, kernel, holds):
        """Fixed by a reload of the MMU at every try [next]."""
        result = check("kvm", "prefault_other_slot", kernel=kernel, livelocks=True)
        assert result.holds == holds
        assert holds or result.property == "progress"

    def test_it_takes_the_quirk(self):
        assert check("kvm", "prefault_other_slot_leaves", kernel="7.3", livelocks=True).holds

    @pytest.mark.parametrize(("kernel", "holds"), [("6.18", False), ("7.1", True)])
    def test_guest_memfd_is_taken_off_a_memslot(self, kernel, holds):
        """Refused [6.19]; before, the file stayed bound to a slot that had been freed."""
        result = check(UPSTREAM, "close_toggle", kernel=kernel)
        assert result.holds == holds
        assert holds or "after its free" in result.clause

    @pytest.mark.parametrize(("kernel", "verdict"), [("7.2", Verdict.HOLDS), ("7.3", Verdict.VACUOUS)])
    def test_a_vcpu_that_is_half_created(self, kernel, verdict):
        """KVM_CREATE_VCPU keeps kvm->lock [7.3]; before, who changes the state of the TD meanwhile is refused."""
        model = load(UPSTREAM)
        only = replace(next(one for one in model.scenarios if one.name == "populate_punch_hole"), witnesses=(state_locked,))
        assert check(replace(model, scenarios=(only,)), only.name, kernel=kernel).verdict is verdict

    def test_when_the_s_ept_page_of_a_table_is_freed(self):
        """At once [7.2]; before, by the RCU callback of the table."""
        before, after = (check("upstream", "rcu_callbacks", kernel=kernel) for kernel in ("7.1", "7.2"))
        assert before.holds
        assert after.holds
        assert before.states != after.states

    @pytest.mark.parametrize(("kernel", "each"), [(V6_18, 1), (V6_19, 0), (V7_3, 0), (NEXT, 1)])
    def test_when_a_population_fills_its_caches(self, kernel, each):
        """Before its loop [6.19 to 7.3], or at each try."""
        with scope({KERNEL: kernel}):
            assert TOPS_UP_AT_EACH_TRY.value == each

    @pytest.mark.parametrize("kernel", ["7.1", "7.3", "next"])
    def test_the_caches_of_a_population_never_run_dry(self, kernel):
        """Nothing makes its loop go round: in a TD that is being built nobody else faults, and mmu_lock keeps zaps out."""
        assert check(UPSTREAM, "populate_signals", kernel=kernel, property="provision").verdict is Verdict.HOLDS

    @pytest.mark.parametrize(("kernel", "writes"), [(V6_16, True), (V6_18, False)])
    def test_how_nx_recovery_holds_mmu_lock(self, kernel, writes):
        """For read [6.18]."""
        with plain() as one, scope({**_scopes[-1], KERNEL: kernel}):
            recovery = kvm_recover_nx_huge_pages(one.m, 1, 0)
            lock = one.m.vm[1].mmu_lock
            while not lock.writer and not lock.readers:
                next(recovery)
            assert (bool(lock.writer), bool(lock.readers)) == (writes, not writes)
