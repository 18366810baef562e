"""`septum record` and `septum replay --follow` on a directory that looks like tracefs: what is set, read, and taken away."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from septum.cli.record import record
from septum.lang.errors import UserError
from septum.replay import live, tracefs
from septum.replay.replay import Options
from septum.replay.result import Verdict
from tests.replay import forms
from tests.replay.samples import SMALL, text_of

FILES = (
    "tracing_on", "trace_clock", "buffer_size_kb", "options/record-tgid", "options/overwrite", "events/enable",
    "events/kvmmmu/enable", "events/kvm/kvm_page_fault/enable", "events/kvm/kvm_unmap_hva_range/enable",
    "events/sched/sched_switch/enable",
)  # fmt: skip


class Tracer:
    """A directory in which, as in tracefs, an instance comes with its files and goes with them."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.written, self.fails = root, [], ""
        (root / "instances").mkdir(parents=True)
        monkeypatch.setattr(tracefs, "TRACEFS", root)
        monkeypatch.setattr(Path, "mkdir", self.mkdir(Path.mkdir))
        monkeypatch.setattr(Path, "rmdir", lambda path: shutil.rmtree(path))
        monkeypatch.setattr(Path, "write_text", self.write(Path.write_text))

    def mkdir(self, real):
        def mkdir(path, *arguments, **options):
            real(path, *arguments, **options)
            if path.parent == self.root / "instances":
                for name in FILES:
                    os.makedirs((path / name).parent, exist_ok=True)
                    (path / name).touch()
                os.makedirs(path / "per_cpu" / "cpu0")
                (path / "per_cpu" / "cpu0" / "stats").write_bytes(b"entries: 5\noverrun: 0\ndropped events: 7\n")
                (path / "trace").write_bytes(text_of(SMALL).encode())
                os.mkfifo(path / "trace_pipe")

        return mkdir

    def write(self, real):
        def write_text(path, text, *arguments, **options):
            if self.root in path.parents:
                name = str(path.relative_to(self.left[0]))
                if name == self.fails and text != "0":
                    raise OSError(22, "Invalid argument")
                self.written.append((name, text))
            return real(path, text, *arguments, **options)

        return write_text

    @property
    def left(self) -> list[Path]:
        return list((self.root / "instances").iterdir())


@pytest.fixture
def tracer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Tracer(tmp_path / "tracing", monkeypatch)


def test_what_replay_wants_is_recorded_and_nothing_else(tracer):
    done = CliRunner().invoke(record, ["--for", "1ms"])
    assert done.exit_code == 0, done.exception
    assert Path("vm.trace").read_text() == text_of(SMALL)
    enabled = [name for name, value in tracer.written if name.startswith("events/") and value == "1"]
    assert enabled == [f"events/{event}/enable" for event in tracefs.EVENTS]
    assert ("trace_clock", "global") in tracer.written
    assert [value for name, value in tracer.written if name == "tracing_on"] == ["0", "1", "0", "0"]
    assert not tracer.left


def test_a_command_is_recorded_and_its_status_is_that_of_record(tracer):
    done = CliRunner().invoke(record, ["-o", "x.trace", "sh", "-c", "exit 5"])
    assert (done.exit_code, Path("x.trace").exists(), tracer.left) == (5, True, [])
    assert "7 events did not fit: --buffer 131072" in done.output


@pytest.fixture
def as_in_a_command():
    """Ctrl-C has the meaning that it has once septum.cli has imported the command."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("as_in_a_command")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_recording_and_cleans_up(tracer, number):
    before = signal.getsignal(signal.SIGTERM)
    done = CliRunner().invoke(record, ["sh", "-c", f"kill -{int(number)} {os.getpid()}; exec sleep 0.01"])
    assert (done.exit_code, Path("vm.trace").exists(), tracer.left) == (0, True, [])
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("name", "said"), [("options/record-tgid",) * 2, ("events/kvmmmu/enable",) * 2, ("tracing_on",) * 2])
def test_what_the_kernel_refuses_is_said_and_nothing_stays(tracer, name, said):
    tracer.fails = name
    done = CliRunner().invoke(record, ["--for", "1ms"])
    assert isinstance(done.exception, UserError)
    assert f"{said}: invalid argument" in str(done.exception)
    assert not tracer.left


def test_a_command_that_is_not_there_is_said_and_nothing_stays(tracer):
    done = CliRunner().invoke(record, ["no-such-command"])
    assert str(done.exception) == "no-such-command: no such file or directory"
    assert not tracer.left


def test_without_tracefs_the_message_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="mount -t tracefs"), tracefs.instance(1, tmp_path):
        pass


@pytest.mark.parametrize("time", ["0", "-1", "ten", "1 fortnight"])
def test_a_time_that_is_none_is_refused(time):
    assert CliRunner().invoke(record, ["--for", time]).exit_code == 2


def test_a_running_kernel_is_followed_as_its_events_come(tracer, monkeypatch):
    said: list[str] = []
    text = forms.trace_pipe(text_of(SMALL)).encode()
    monkeypatch.setattr(live, "EVERY", 0)

    def kernel() -> None:
        while not tracer.left or not (tracer.left[0] / "trace_pipe").exists():
            pass
        with (tracer.left[0] / "trace_pipe").open("wb") as pipe:
            for at in range(0, len(text), 7001):
                pipe.write(text[at : at + 7001])

    def until_all_came(line: str) -> None:
        said.append(line)
        if "2,893 events followed" in line:
            raise KeyboardInterrupt

    writer = threading.Thread(target=kernel)
    writer.start()
    result = live.follow(Options(kernel="6.12"), None, until_all_came)
    writer.join()
    assert result.verdict is Verdict.FOLLOWED, result.groups
    assert (result.followed, result.reading.truncated) == (2893, "")
    assert said[-1].endswith("2,893 events followed, 0 divergences, nothing mapped")
    assert not tracer.left
