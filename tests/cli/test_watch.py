"""`septum watch`: a file is checked again on every save, in a process that a save or Ctrl-C ends."""

from __future__ import annotations

import io
import os
import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, ConsoleDimensions

from septum.check.result import Verdict
from septum.cli import main, output, rounds
from septum.cli import watch as command
from septum.cli.rounds import Asked, Round, check_all
from septum.cli.watch import Files, follow, shown_as_lines, shown_on_screen
from septum.report.board import Board, Done, Event, Exploring, Found, Planned, Still, Wrong
from tests.cli.test_supervise import command as process

# From 3.12 on Python warns of a fork beside threads. The command has none; who runs tests side by side has.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

MODEL = """
from septum.lang import *

class World(Struct):
    n: u8

@process
def count(m: World):
    yield
    assert m.n == {first}, "custody: it is {first}"

def start(setup):
    setup.thread("T", call(count))

custody = Property("custody", "it is right")
model = Model("own", World, (Scenario("one", "", start), Scenario("two", "", start)), (custody,), scopes=(
    Scope("tiny", "", {{}}), Scope("wide", "", {{}})))
"""


class Script:
    """Rounds that tell what a test says, each until a save; then Ctrl-C."""

    def __init__(self, *saves: list[Event]) -> None:
        self.saves, self.begun, self.ended = [iter([*events, None]) for events in saves], 0, 0

    def begin(self) -> Script:
        self.begun += 1
        return self

    def wait(self, _: Script) -> Event | None:
        if self.begun > len(self.saves):
            raise KeyboardInterrupt
        return next(self.saves[self.begun - 1])

    def end(self) -> None:
        self.ended += 1


def followed(*saves: list[Event]) -> tuple[Script, Board, list[Event | None]]:
    """What was begun, what the board knows, and what was shown."""
    script, board, shown = Script(*saves), Board("mine.py"), list[Event | None]()
    with pytest.raises(KeyboardInterrupt):
        follow(board, script.begin, script.wait, lambda _, event: shown.append(event))
    return script, board, shown


PLAN = Planned(("tiny",), ("one",))


def test_every_save_begins_the_checks_again() -> None:
    _, board, shown = followed([PLAN, Done()], [Wrong("mine.py:3: a mistake")])
    assert shown == [None, PLAN, Done(), None, Wrong("mine.py:3: a mistake"), None]
    assert (board.wrong, board.done) == ("", False)


def test_a_save_or_control_c_ends_the_checks_that_run() -> None:
    script, board, _ = followed([PLAN, Exploring("tiny", "one")])
    assert (script.begun, script.ended) == (2, 2)
    assert not board.rests


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the model of these tests; each time with another size."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = Path("mine.py")
        path.write_text(text)
        return path

    return write


def text(first: int = 0) -> str:
    return textwrap.dedent(MODEL).format(first=first)


def told(asked: Asked) -> list[Event]:
    """All that a round in this process tells."""
    said = list[Event]()
    check_all(asked, said.append)
    return [event for event in said if not isinstance(event, Exploring)]


def verdicts(events: list[Event]) -> list[tuple[str, str, Verdict]]:
    return [(one.scope, one.result.scenario, one.result.verdict) for one in events if isinstance(one, Found)]


def test_every_scenario_is_checked_in_the_smallest_scope_first(file: Any, quickly_compiled: None) -> None:
    file(text())
    plan, *found, done = told(Asked("mine.py", scope="wide"))
    assert (plan, done) == (Planned(("tiny", "wide"), ("one", "two")), Done())
    order = [("tiny", "one"), ("tiny", "two"), ("wide", "one"), ("wide", "two")]
    assert verdicts(found) == [(*one, Verdict.HOLDS) for one in order]
    again = [one.result.kept for one in told(Asked("mine.py", ("two",))) if isinstance(one, Found)]
    assert again == [True, True], "in the smallest scope, and in its own sizes, which are the same"


@pytest.mark.parametrize(
    ("written", "asked", "wrong"),
    [
        ("x = (", Asked("mine.py"), "mine.py:1: '(' was never closed"),
        ("import nowhere", Asked("mine.py"), "No module named 'nowhere'"),
        (text(), Asked("mine.py", ("ones",)), "unknown scenario ones of mine.py; did you mean one?"),
        (text(), Asked("mine.py", scope="huge"), "unknown scope huge of mine.py"),
        (text().replace("yield", "yield []"), Asked("mine.py"), "mine.py:9:"),
        (text().replace("yield", "while True: pass"), Asked("mine.py"), "mine.py"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(file: Any, written: str, asked: Asked, wrong: str, quickly_compiled: None) -> None:
    file(written)
    last = told(asked)[-1]
    assert isinstance(last, Wrong)
    assert wrong in last.text


def until_told(round: Round) -> Iterator[Event]:
    """All that a round in a process of its own tells; it waits for it as long as it takes."""
    while True:
        event = round.next(60.0)
        if not isinstance(event, Still):
            yield event
        if isinstance(event, Done | Wrong):
            return


def test_a_round_knows_nothing_of_the_one_before(file: Any, quickly_compiled: None) -> None:
    for first, verdict in ((0, Verdict.HOLDS), (1, Verdict.VIOLATED)):
        file("from parts import FIRST\n" + text().replace("m.n == 0", "m.n == FIRST"))
        Path("parts.py").write_text(f"FIRST = {first}\n")
        round = Round(Asked("mine.py", ("one",), "tiny"), quiet=False)
        try:
            assert verdicts(list(until_told(round))) == [("tiny", "one", verdict)]
            assert round.next(0.0) == Still()
        finally:
            round.end()


ENDS = {"import os; os._exit(0)": "exit status 0", "import os; os.kill(os.getpid(), 9)": "SIGKILL", "exit()": "SystemExit"}


@pytest.mark.parametrize(("line", "how"), ENDS.items(), ids=ENDS)
def test_a_file_that_ends_its_process_is_wrong(file: Any, line: str, how: str) -> None:
    file(line)
    round = Round(Asked("mine.py"), quiet=True)
    try:
        [last] = until_told(round)
    finally:
        round.end()
    assert isinstance(last, Wrong)
    assert how in last.text


ERRORS = {"the memory ended": MemoryError(), "a defect of septum, please report it: ValueError: no": ValueError("no")}


@pytest.mark.parametrize("said", ERRORS)
def test_an_error_that_is_not_the_users_is_told_as_such(file: Any, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    def check(*_: Any, **options: Any) -> None:
        raise ERRORS[said]

    file(text())
    monkeypatch.setattr(rounds, "check", check)
    round = Round(Asked("mine.py"), quiet=True)
    try:
        assert list(until_told(round))[-1] == Wrong(said)
    finally:
        round.end()


@pytest.mark.parametrize(
    "catches", ["while True: pass", "while True:\n    try:\n        while True: pass\n    except Exception: pass"]
)
def test_checks_that_do_not_end_are_ended(file: Any, catches: str) -> None:
    reader, writer = os.pipe()
    file(f"import os; os.write({writer}, b'now')\n{catches}")
    round = Round(Asked("mine.py"), quiet=True)
    try:
        assert os.read(reader, 3) == b"now"
    finally:
        round.end()
    with pytest.raises(ValueError, match="closed"):
        round._process.is_alive()


def test_a_file_and_what_it_imports_are_watched(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "INTERVAL", 0.0)
    parts, other = Path("parts.py"), Path("other.py")
    files = Files(file("import parts"))
    assert not files.changed()
    other.write_text("is not imported")
    assert not files.changed()
    parts.write_text("is new")
    assert files.changed()
    files.look()
    assert not files.changed()
    file("import parts, other")
    assert files.changed()
    files.look()
    other.write_text("is imported now")
    assert files.changed()


def test_a_file_that_is_gone_for_a_moment_was_not_saved(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "INTERVAL", 0.0)
    path = file("one")
    files = Files(path)
    path.rename("kept.py")
    assert not files.changed()
    Path("kept.py").rename(path)
    assert not files.changed()
    Path("new.py").write_text("two")
    Path("new.py").rename(path)
    assert files.changed()


def test_files_are_looked_at_a_few_times_a_second(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(file("one"))
    monkeypatch.setattr(command.time, "monotonic", lambda: 1000.0)
    assert not files.changed()
    file("another")
    assert not files.changed()
    monkeypatch.setattr(command.time, "monotonic", lambda: 1000.0 + command.INTERVAL)
    assert files.changed()
    assert command.INTERVAL >= 0.25


@pytest.mark.parametrize(("named", "said"), [
    ("nowhere.py", "nowhere.py: no such file"), (".", "unknown design ."), ("upstream", "upstream is built in"),
])  # fmt: skip
def test_only_a_file_is_watched(file: Any, capsys: pytest.CaptureFixture[str], named: str, said: str) -> None:
    assert main(["watch", named]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("events", "status"), [([PLAN, Done()], 0), ([Wrong("mine.py:3: a mistake")], 0), ([PLAN], 3)])
def test_control_c_ends_it_with_0_where_nothing_ran(
    file: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, events: list[Event], status: int
) -> None:
    def interrupted(self: Round, _: float) -> Event:
        if not events:
            raise KeyboardInterrupt
        return events.pop(0)

    file("")
    monkeypatch.setattr(Round, "next", interrupted)
    assert main(["watch", "mine.py"]) == status
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    """Also where whoever began it takes no notice of signals, as a shell does for what runs beside it."""
    path = tmp_path / "mine.py"
    path.write_text("import os; print(os.getpid(), flush=True)\nwhile True: pass")
    run = process("watch", str(path), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    checks = int(run.stdout.readline())
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (3, "")
    with pytest.raises(ProcessLookupError):
        os.kill(checks, 0)


def test_a_screen_is_drawn_when_something_happens_or_its_size_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24, _environ={})
    monkeypatch.setattr("rich.console.Console", lambda **_: console)
    with shown_on_screen() as show:
        for event, size, drawn in ((None, 80, True), (Still(), 80, False), (Still(), 40, True), (Still(), 40, False)):
            console.size, before = ConsoleDimensions(size, 24), console.file.tell()
            show(Board("mine.py"), event)
            assert (console.file.tell() > before) is drawn
    assert console.file.getvalue().count("\x1b[H") == 3, "each time from its first line, the first time twice"
    assert console.file.getvalue().endswith("\x1b[?1049l\x1b[?25h"), "what stood there before comes back, and the cursor"


def test_a_pipe_whose_reader_left_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "write", lambda _: False)
    with shown_as_lines() as show, pytest.raises(KeyboardInterrupt):
        show(Board("mine.py"), PLAN)


def test_a_reader_that_left_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Closed:
        def write(self, _: str) -> None:
            raise BrokenPipeError

        def fileno(self) -> int:
            return os.open(tmp_path / "nowhere", os.O_CREAT | os.O_WRONLY)

    monkeypatch.setattr(output.sys, "stdout", Closed())
    assert output.write("one") is False
