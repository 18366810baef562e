"""Where pages come from, as reached by exploring; whether unequal initial values can be observed is what a check says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from septum.check.evidence import Evidence, Source
from septum.cli import main
from septum.host.cpu import IN_RCU
from septum.lang.measure import Place
from septum.report.provenance import render
from tests.designs.mutate import mutated
from tests.designs.mutations import MUTATIONS


def provenance(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["provenance", *arguments]) == 0
    return capsys.readouterr().out


def test_several_sources_and_unequal_initial_values_are_marked_and_nobody_can_observe_them(capsys):
    """designs.md 5.10: tables of faults are filled with SHADOW_NONPRESENT_VALUE, those of splits are zeroed."""
    text = provenance(capsys, "dpamt_v4", "--scenario", "split")
    spt = text[text.index("sp->spt") : text.index("sp->external_spt")]
    assert "through vcpu.mmu_shadow_page_cache; GFP_KERNEL_ACCOUNT,\n      SHADOW_NONPRESENT_VALUE" in spt
    assert "straight from the allocator; GFP_KERNEL_ACCOUNT, zeroed" in spt
    assert "  * several sources: 3\n" in spt
    assert "  * unequal initial values: SHADOW_NONPRESENT_VALUE, zeroed\n" in spt
    assert "sp->spt, unequal initial values: nobody can observe them." in text
    assert "not charged" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_can_be_observed_is_shown_by_a_check(capsys):
    mistake = next(one for one in MUTATIONS if one.property == "initial value" and one.design == "dpamt_v4")
    with mutated(mistake):
        text = " ".join(provenance(capsys, "dpamt_v4", "--scenario", "split").split())
    assert "sp->spt, unequal initial values: they can be observed: initial value: entry 1 of table" in text
    assert '`septum check dpamt_v4 --property "initial value" --scenario split` shows how' in text


def test_a_design_with_one_source_of_each_kind_has_nothing_to_observe(capsys):
    text = provenance(capsys, "upstream", "--scenario", "rcu_callbacks")
    assert "No field has unequal initial values." in text
    assert "freed in tdp_mmu_free_sp(), septum/kvm/tdp/tdp_mmu.py" in text


def test_pages_that_one_line_allocates_for_several_kinds_are_told_apart(capsys):
    """designs.md 5.10, SEED: one routine fills all pools of the VM."""
    found = json.loads(provenance(capsys, "seed_mutex", "--scenario", "split", "--json"))
    spt = [one for one in found["fields"]["sp->spt"]["sources"] if one["place"]["function"] == "fill_pool"]
    assert {(one["pool"], one["content"]) for one in spt} == {("vm.design.spt", "NONPRESENT")}
    external = [one for one in found["fields"]["sp->external_spt"]["sources"] if one["place"]["function"] == "fill_pool"]
    assert {one["content"] for one in external} == {"UNDEFINED"}
    assert found["initial_values_observable"] == {}


@pytest.mark.parametrize(("design", "scenario"), [("dpamt_v3_as_posted", "rcu_callbacks"), ("dpamt_v4_as_posted", "split")])
def test_pages_that_nobody_is_charged_for_are_marked(capsys, design, scenario):
    """designs.md 7: memory whose amount a VM can drive is charged to it; the list of v3 and that for splits of v4 were not."""
    found = json.loads(provenance(capsys, design, "--scenario", scenario, "--json"))
    marks = [mark for field in found["fields"].values() for mark in field["marks"]]
    assert any(mark.startswith("not charged to the VM") for mark in marks)


def test_a_wrong_name_is_met_with_the_nearest(capsys):
    assert main(["provenance", "upstream", "--scenario", "rcu_callback"]) == 2
    assert "did you mean rcu_callbacks?" in capsys.readouterr().err


def test_a_source_that_is_reached_in_two_contexts_is_named_once() -> None:
    place = Place("topup", "mine.py", 7, "page = yield from alloc_page(m)")
    one = Source("sp->spt", place, "vcpu.cache", "KERNEL_ACCOUNT", "ZEROED", frozenset(), 0, ("same_gfn",))
    sources = (one, replace(one, context=IN_RCU, scenarios=("same_gfn", "teardown")))
    text = render(Evidence("mine", sources=sources), {}, width=120)
    assert text.count("from topup(), mine.py:7") == 1
    assert "under no lock, may sleep; or under no lock, in an RCU read section" in text
    assert "      in same_gfn, teardown\n" in text
