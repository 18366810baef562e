"""Standard output and standard error: terminals, pipes, readers that leave."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from septum.cli import output
from septum.cli.progress import ProgressLine, describe, fitted
from septum.explore.explore import Progress

PROGRESS = Progress(states=1_234_567, transitions=9_000_000, frontier=4321, depth=31, bytes=512 << 20, seconds=4.5)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_a_terminal_has_colours_and_its_width(terminal: None) -> None:
    assert (output.colour(), output.width()) == (True, 100)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour(terminal: None, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert not output.colour()


def test_a_pipe_has_no_colours_and_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert (output.colour(), output.width()) == (False, 80)


def test_progress_is_for_a_terminal(terminal: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ProgressLine("title").on
    monkeypatch.setenv("TERM", "dumb")
    assert not ProgressLine("title").on


def test_progress_is_one_line_that_goes_away(capsys: pytest.CaptureFixture[str], terminal: None) -> None:
    line = ProgressLine("1/2 upstream same_gfn")
    line.on = True  # pytest puts a stream of its own in the place of the terminal
    line(PROGRESS)
    line(PROGRESS)  # too soon after the first
    line.clear()
    shown = [part for part in capsys.readouterr().err.split("\r") if part.strip()]
    assert [part.rstrip() for part in shown] == [shown[0].rstrip()] * 2
    assert shown[0].rstrip() == "1/2 upstream same_gfn: 4.50 s, 512.0 MiB, 1,234,567 states, 2.0 M/s, frontier 4,321, depth 31"
    assert max(map(len, shown)) < 100


def test_progress_on_80_columns_keeps_time_memory_and_states() -> None:
    shown = fitted("39/52 dpamt_merged_split neighbours_enomem", describe(PROGRESS), 79)
    assert shown == "39/52 dpamt_merged_split neighbours_enomem: 4.50 s, 512.0 MiB, 1,234,567 states"
    shown = fitted("39/52 dpamt_merged_split punch_hole_zero_step", describe(PROGRESS), 79)
    assert shown == "39/52 dpamt_merged_split punch_hole_zer...: 4.50 s, 512.0 MiB, 1,234,567 states"


def test_progress_says_nothing_of_what_is_not_known() -> None:
    assert describe(Progress(0, 0, 0, 0, 0, 0.0)) == []
    assert fitted("title", [], 79) == "title"
    assert describe(Progress(states=40, transitions=900, frontier=0, depth=3, bytes=0, seconds=0.5)) == [
        "0.50 s", "40 states", "1.8 k/s", "depth 3",
    ]  # fmt: skip


def test_no_progress_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine("1/2 upstream same_gfn")
    line(PROGRESS)
    line.clear()
    assert capsys.readouterr().err == ""


def run(code: str, *, environment: dict[str, str] | None = None, lines: int = 0) -> tuple[int, str, str]:
    """Runs Python code whose reader leaves after so many lines (0: reads everything)."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    with process:
        out = "".join(process.stdout.readline() for _ in range(lines)) if lines else process.stdout.read()
        process.stdout.close()
        err = process.stderr.read()
    return process.returncode, out, err


def test_a_reader_that_leaves_changes_nothing() -> None:
    code = "from septum.cli.output import write; write('line\\n' * 100_000); raise SystemExit(3)"
    assert run(code, lines=1) == (3, "line\n", "")


def test_a_terminal_without_unicode() -> None:
    code = "from septum.cli.output import write; write('a \\u2192 b')"
    assert run(code, environment={"PYTHONIOENCODING": "ascii"}) == (0, "a \\u2192 b\n", "")


def test_help_names_every_command_and_the_exit_status() -> None:
    status, out, _ = run("import sys; from septum.cli import main; sys.exit(main(['--help']))")
    assert status == 0
    assert all(command in out for command in ("check", "list", "show", "explain"))
    status, out, _ = run("import sys; from septum.cli import main; sys.exit(main(['check', '--help']))")
    assert "Exit status: 0 all that applies holds" in " ".join(out.split())


def test_python_m_septum() -> None:
    found = subprocess.run([sys.executable, "-m", "septum", "chekc"], capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "Traceback" not in found.stderr


def test_the_command_line_does_not_load_what_a_check_does_not_need() -> None:
    names = ["rich", "septum.check.check", "septum.report.diagram"]
    assert run(f"import sys, septum.cli; print([name for name in {names} if name in sys.modules])")[1] == "[]\n"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    document: Any = {"results": []}
    output.write_json(document)
    assert capsys.readouterr().out == '{\n  "results": []\n}\n'


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
@pytest.mark.parametrize(("command", "status"), [("list designs", 0), ("list designs --json", 0), ("list designs nosuch", 2)])
def test_closed_streams_are_quiet(closed: str, command: str, status: int) -> None:
    line = f'"{sys.executable}" -m septum {command} {closed}'
    found = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (status, "")
    assert "Traceback" not in found.stderr


def test_a_shell_that_completes_a_word_is_told_the_commands_and_nothing_else() -> None:
    asks = os.environ | {"_SEPTUM_COMPLETE": "bash_complete", "COMP_WORDS": "septum che", "COMP_CWORD": "1"}
    found = subprocess.run(
        [sys.executable, "-c", "from septum.cli import main; main()"], capture_output=True, text=True, check=False, env=asks
    )
    assert (found.stdout, found.stderr) == ("plain,check\n", "")
