"""Mistakes on the command line: one message on standard error, exit status 2, no traceback."""

from __future__ import annotations

from typing import Any

import pytest

BAD = {
    "no command": ([], "Usage:"),
    "unknown command": (["chekc"], "No such command 'chekc'; did you mean check?"),
    "far-off command": (["frobnicate"], "No such command 'frobnicate'"),
    "no design": (["check", "--json"], "which design? Name one, or its file, or say --all"),
    "unknown design": (["check", "upstraem"], "unknown design upstraem; did you mean upstream?"),
    "far-off design": (["check", "xyz"], "unknown design xyz; known: dpamt_v4, kvm, kvm_dpamt_merged,"),
    "missing file": (["check", "no/such.py"], "no/such.py: no such file; DESIGN is a name or a Python file"),
    "directory": (["check", "./"], "./: is a directory"),
    "unknown scenario": (
        ["check", "upstream", "--scenario", "same_gnf"],
        "scenario same_gnf of upstream; did you mean same_gfn?",
    ),
    "unknown property": (
        ["check", "upstream", "--property", "custard"],
        "property custard of upstream; did you mean custody?",
    ),
    "unknown engine": (["check", "upstream", "--engine", "rust"], "--engine"),
    "no vCPUs": (["check", "upstream", "--vcpus", "0"], "--vcpus"),
    "unknown option": (["check", "upstream", "--vcpu", "2"], "--vcpu"),
    "bad budget": (["check", "upstream", "--budget", "lots"], "--budget lots: write a duration (60s, 5m)"),
    "nothing to list": (["list"], "Missing argument"),
    "unknown list": (["list", "desings"], "desings"),
    "list of an unknown design": (["list", "scenarios", "upsteam"], "did you mean upstream?"),
    "designs of an unknown name": (["list", "designs", "upsteam"], "did you mean upstream?"),
    "designs of a missing file": (["list", "designs", "no/such.py"], "no/such.py: no such file"),
    "show an unknown design": (["show", "dpamt_v5"], "did you mean dpamt_v4?"),
    "bad token": (["explain", "hello"], "hello: no token of this septum"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(septum: Any, checker: Any, arguments: list[str], message: str) -> None:
    found = septum(*arguments)
    assert found.status == 2
    assert message in " ".join((found.err + found.out).split())
    assert "Traceback" not in found.err
    assert not checker.asked


def test_a_design_with_a_syntax_error(septum: Any, tmp_path: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text("a syntax error")
    found = septum("check", str(file))
    assert (found.status, found.out, found.err) == (2, "", f"septum: {file}:1: invalid syntax\n")


def test_a_file_that_lies_here_is_meant_by_its_name(septum: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool.py").write_text("")
    found = septum("check", "pool")
    assert (found.status, found.err) == (2, "septum: unknown design pool; did you mean pool.py?\n")


@pytest.mark.parametrize("command", ["compare", "provenance"])
def test_a_model_of_ones_own_has_no_pages_to_compare(septum: Any, tmp_path: Any, command: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text("")
    found = septum(command, str(file))
    assert (found.status, found.err) == (2, f"septum: {file} is a model of its own; {command} wants designs of KVM\n")


def test_names_are_looked_up_before_anything_runs(septum: Any, checker: Any) -> None:
    assert septum("check", "upstream", "dpamt_v9").status == 2
    assert not checker.asked
