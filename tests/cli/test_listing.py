"""`septum list`, `septum show`, `septum explain`."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from septum.cli import names
from septum.cli.listing import table
from septum.lang.model import Property
from tests.report.samples import TOKEN


def test_designs(septum: Any) -> None:
    found = septum("list", "designs")
    assert found.status == 0
    assert found.out == "dpamt_v4  The external cache behind x86 ops\nupstream  The caches as merged before Dynamic PAMT\n"


def test_models(septum: Any) -> None:
    lines = septum("list", "models").out.splitlines()
    assert {line.split()[0] for line in lines if line[0] != " "} == {
        "kvm",
        "kvm_upstream",
        "kvm_dpamt_merged",
        "kvm_dpamt_merged_split",
    }
    assert septum("list", "models", "kvm").out.startswith("kvm  KVM's side")
    refused = septum("list", "models", "kvm_upstrem")
    assert (refused.status, "did you mean kvm_upstream?" in refused.err) == (2, True)


def test_scenarios(septum: Any) -> None:
    assert septum("list", "scenarios").out == "same_gfn  The title of same_gfn\nzap       The title of zap\n"


def test_properties_have_those_of_the_explorer(septum: Any) -> None:
    lines = septum("list", "properties", "upstream").out.splitlines()
    names = [line.split("  ")[0] for line in lines if not line.startswith(" ")]
    assert names == ["asserts", "deadlock", "race", "progress", "custody", "initial value"]


def test_a_property_of_several_clauses_has_all_their_titles() -> None:
    clauses = (Property("custody", "one owner"), Property("backing", "a pair"), Property("custody", "at rest: none is lost"))
    models: Any = [SimpleNamespace(properties=clauses), SimpleNamespace(properties=clauses[:1])]
    titles = names.properties(models)
    assert (titles["custody"], titles["backing"]) == ("one owner; at rest: none is lost", "a pair")


def test_one_design(septum: Any, tmp_path: Any) -> None:
    assert septum("list", "designs", "upstream").out == "upstream  The caches as merged before Dynamic PAMT\n"
    file = tmp_path / "mine.py"
    file.write_text("")
    assert septum("list", "designs", str(file)).out == f"{file}  -\n"


def test_json(septum: Any) -> None:
    found = json.loads(septum("list", "scenarios", "--json").out)
    assert found == {"scenarios": [{"name": name, "title": f"The title of {name}"} for name in ("same_gfn", "zap")]}


def test_a_long_title_goes_on_below_itself() -> None:
    assert table({"a": "word " * 5, "bb": ""}, 20) == "a   word word word\n    word word\nbb  -"


def test_show_in_a_pipe_is_the_source_as_it_stands(septum: Any) -> None:
    found = septum("show", "upstream")
    assert (found.status, found.out) == (0, '"""The design upstream."""\n')


def test_show_on_a_terminal(septum: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("septum.cli.show.colour", lambda: True)
    found = septum("show", "upstream")
    assert "\x1b[" in found.out
    assert "1" in found.out


def test_explain(septum: Any) -> None:
    found = septum("explain", TOKEN)
    assert found.status == 1
    assert found.out.startswith("dpamt_v4, fault_zap: violated: custody\n======")


def test_explain_as_json(septum: Any) -> None:
    found = septum("explain", TOKEN, "my.py", "--json")
    assert json.loads(found.out)["results"][0]["design"] == "my.py"
