"""`septum replay`, and `septum check --ftrace` which writes what it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from septum.cli import main
from tests.replay.samples import SMALL, file_of, text_of

TRACE = str(file_of(SMALL))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def test_a_trace_that_is_explained_ends_well(run):
    status, out, err = run("replay", TRACE)
    assert (status, err) == (0, "")
    assert "Every event is explained" in out


def test_a_divergence_is_a_finding(run, tmp_path):
    file = tmp_path / "trace"
    file.write_text(text_of(SMALL).replace("new_spte 12ed2ce67", "new_spte 12ed2de67", 1))
    status, out, _ = run("replay", str(file))
    assert status == 1
    assert "Divergence at line" in out
    assert "--keep-going" in out


def test_nothing_to_follow_is_no_pass(run, tmp_path):
    file = tmp_path / "trace"
    file.write_text("hello\n")
    status, out, _ = run("replay", str(file))
    assert status == 3
    assert "Nothing to follow" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "no such file"),
        ([TRACE, "--kernel", "5.10"], "5.15 is the oldest"),
        ([TRACE, "--kernel", "new"], "a version begins with two numbers"),
        ([TRACE, "--formats", "missing"], "cannot be read as format files"),
        ([TRACE, "--plot", "plot.gif"], ".png or .html"),
    ],
)
def test_bad_input_is_one_line(run, arguments, words):
    status, out, err = run("replay", *arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_json_is_one_document(run):
    status, out, _ = run("replay", TRACE, "--json")
    assert status == 0
    assert json.loads(out)["verdict"] == "followed"


def test_a_plot_comes_beside_the_report(run, tmp_path):
    status, out, _ = run("replay", TRACE, "--plot", str(tmp_path / "mapped.png"))
    assert status == 0
    assert "Every event" in out
    assert (tmp_path / "mapped.png").stat().st_size > 1000


def test_what_a_check_writes_is_replayed(run, tmp_path):
    file = tmp_path / "run.trace"
    assert run("check", "upstream", "--scenario", "punch_hole", "--ftrace", str(file))[0] == 0
    assert "# septum: upstream, punch_hole: a run" in file.read_text()
    status, out, _ = run("replay", str(file))
    assert status == 0, out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["upstream", "--ftrace", "x"], "name one design, and one scenario"),
        (["upstream", "--scenario", "split", "--ftrace", "x"], "did not run"),
        (["upstream", "--scenario", "same_gfn", "--ftrace", "missing/x"], "missing/x: no such file"),
    ],
)
def test_a_trace_that_cannot_be_written_is_said(run, arguments, words, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = run("check", *arguments)
    assert status == 2
    assert words in err
