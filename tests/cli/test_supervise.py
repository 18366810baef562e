"""Whatever a design does to the process that reads it, the exit status says so, and is that of no verdict."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from septum.cli import app, main

ROOT = Path(__file__).parents[2]

MODEL = """
    from septum.lang import *

    SIZE = {size}

    class World(Struct):
        a: u8
        x: u8[SIZE]

    @process
    def run(m: World):
        {body}
        yield

    def go(s):
        {start}
        for number in range({threads}):
            s.thread(f"T{{number}}", call(run))

    model = Model("m", World, (Scenario("s", "", go),))
    {more}
"""


def model(path, body="m.a = 1", start="pass", threads=2, size="2", more=""):
    text = textwrap.dedent(MODEL).format(body=body, start=start, threads=threads, size=size, more=more)
    path.write_text(text)
    return str(path)


def command(*words, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-m", "septum", *words], cwd=ROOT, text=True, **options)


def ends(*words, **options):
    """The exit status, and what was said."""
    run = command(*words, **options)
    out, err = run.communicate(timeout=120)
    assert "Traceback" not in err
    return run.returncode, out, err


def said(capsys):
    out, err = capsys.readouterr()
    return " ".join((out + err).split())


DYING = {
    "exit 0": "import os; os._exit(0)",
    "exit 1": "import os; os._exit(1)",
    "abort": "import os; os.abort()",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "kill": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
}


@pytest.mark.parametrize("more", DYING.values(), ids=DYING)
def test_a_design_that_ends_the_process_is_bad_input(tmp_path, more):
    status, out, err = ends("check", model(tmp_path / "m.py", more=more))
    assert (status, out) == (2, "")
    assert "the run died" in err


LEAVING = ["import sys; sys.exit(0)", "import sys; sys.exit(1)", "raise BaseException('x')", "raise SystemExit", "exit()"]


@pytest.mark.parametrize("line", LEAVING)
@pytest.mark.parametrize("place", ["more", "start"])
def test_a_design_that_leaves_is_bad_input(tmp_path, capsys, line, place):
    assert main(["check", model(tmp_path / "m.py", **{place: line})]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert f"{tmp_path / 'm.py'}:" in err


TOO_LARGE = {
    "state": ({"size": "1 << 26"}, "m.py:6: a state of World has 67,108,865 bytes, 67,108,864 of them in x; at most 1,048,576"),
    "giant state": ({"size": "1 << 34"}, "17,179,869,184 of them in x"),
    "absurd state": ({"size": "1 << 70"}, "of them in x; at most"),
    "range": ({"body": "for i in range(1 << 40): m.a = 1"}, "m.py:12: a loop of 1,099,511,627,776 rounds; at most 1,048,576"),
    "range that just does not fit": ({"body": "for i in range((1 << 20) + 1): m.a = 1"}, "a loop of 1,048,577 rounds"),
    "range downwards": ({"body": "for i in range(1 << 30, 0, -1): m.a = 1"}, "a loop of 1,073,741,824 rounds"),
    "absurd range": ({"body": "for i in range(1 << 90): m.a = 1"}, "m.py:12: "),
    "choice": ({"body": "c = yield choose(65537)"}, "m.py:12: a choice among 65,537; at most 65,536"),
    "threads": ({"threads": 33}, "scenario s: has 33 threads; at most 32"),
    "expression": ({"body": f"m.a = u8(({'m.a + ' * 2000}1) % 3)"}, "m.py:12: too many expressions, blocks or calls"),
}


@pytest.fixture
def as_deep_as_python_begins():
    """Others who tested here may have given it more room."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1500)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("as_deep_as_python_begins")
@pytest.mark.parametrize(("parts", "message"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_is_too_large_is_refused_before_it_is_compiled(tmp_path, capsys, monkeypatch, parts, message):
    monkeypatch.setenv("CC", "/bin/false")
    monkeypatch.setattr("septum.translate.compile.compiled", lambda *_: pytest.fail("it was compiled"))
    assert main(["check", model(tmp_path / "m.py", **parts)]) == 2
    assert message in capsys.readouterr().err


CATCHES = """
        try:
            while True: pass
        except Exception:
            pass
"""

ENDLESS = {
    "while it is read": {"more": "while True: pass"},
    "in the start": {"start": "while True: pass"},
    "and takes it for an error": {"start": f"while True:\n{CATCHES}"},
}


@pytest.mark.parametrize("parts", ENDLESS.values(), ids=ENDLESS)
def test_a_budget_ends_a_design_that_does_not_end(tmp_path, capsys, parts):
    assert main(["check", model(tmp_path / "m.py", **parts), "--budget", "0.1s"]) == 3
    assert "the time ended" in said(capsys)


def test_a_budget_ends_a_compiler(tmp_path, capsys, monkeypatch):
    slow = tmp_path / "cc"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o700)
    monkeypatch.setenv("CC", str(slow))
    from septum.translate.compile import compiler

    compiler.cache_clear()
    try:
        assert main(["check", model(tmp_path / "m.py", "m.a = 77"), "--budget", "0.1s"]) == 3
    finally:
        compiler.cache_clear()
    assert "the time ended" in said(capsys)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", ["more", "start"])
def test_a_signal_ends_every_phase(tmp_path, number, place):
    """To the process that was started, which passes it on."""
    endless = "print('now', flush=True)\n" + ("    " if place == "start" else "") + "while True: pass"
    run = command("check", model(tmp_path / "m.py", **{place: endless}))
    assert run.stdout.readline() == "now\n"
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert (run.returncode, "Traceback" in err) == (3, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_compiler(tmp_path, number):
    compiling, slow = tmp_path / "compiling", tmp_path / "cc"
    os.mkfifo(compiling)
    slow.write_text(f"#!/bin/sh\necho now > {compiling}\nexec sleep 60\n")
    slow.chmod(0o700)
    environment = {**os.environ, "CC": str(slow), "SEPTUM_CACHE": str(tmp_path / "cache")}
    run = command("check", model(tmp_path / "m.py"), env=environment)
    assert compiling.read_text() == "now\n"
    run.send_signal(number)
    _, err = run.communicate(timeout=30)
    assert (run.returncode, "Traceback" in err) == (3, False)
    assert not list((tmp_path / "cache").glob("*.so"))


EARLY = """
import os, sys
from septum.cli.supervise import supervised

def command():
    os.kill(os.getpid(), {number})
    print("never so", flush=True)
    return 0

sys.exit(supervised(command, quiet=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_command_can_take_it_ends_it_without_a_word(number):
    run = subprocess.run([sys.executable, "-c", EARLY.format(number=int(number))], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (3, "", "")


LATE = """
import signal, sys
from septum.cli import supervise

def command():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("all of it", flush=True)
    return 0

ended = supervise._run

def late(command):
    status = ended(command)
    signal.raise_signal(signal.SIGINT)
    return status

supervise._run = late
sys.exit(supervise.supervised(command, quiet=True))
"""


def test_a_signal_that_comes_when_the_command_has_ended_is_no_traceback():
    run = subprocess.run([sys.executable, "-c", LATE], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (3, "all of it\n", "")


def test_a_first_signal_ends_a_hunt_with_3(tmp_path):
    run = command("hunt", model(tmp_path / "m.py", start="print('now', flush=True)"), "--for", "600s")
    assert run.stdout.readline() == "now\n"
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert (run.returncode, "Traceback" in err) == (3, False)


def test_who_kills_the_command_has_killed_all_of_it(tmp_path):
    run = command("check", model(tmp_path / "m.py", more="import os; print(os.getpid(), flush=True)\nwhile True: pass"))
    child = int(run.stdout.readline())
    assert child != run.pid
    run.kill()
    out, err = run.communicate(timeout=60)
    assert (out, err) == ("", ""), "they are at their end when the last one who could write has ended"


@pytest.mark.parametrize("mebibytes", [*range(20, 200, 30), 260])
def test_no_memory_is_so_small_that_the_exit_status_is_a_verdict(tmp_path, mebibytes):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))

    status, _, err = ends("check", model(tmp_path / "m.py"), preexec_fn=limit)
    assert status in (0, 2, 3, 127), err


@pytest.mark.parametrize("error", [
    ImportError("_random.so: failed to map segment from shared object"), SystemError("error return without exception set"),
])  # fmt: skip
def test_an_import_that_there_is_no_memory_for_is_no_defect(monkeypatch, capsys, error):
    def load(name):
        raise error

    monkeypatch.setattr(app, "import_module", load)
    assert main(["list"]) == 3
    assert capsys.readouterr().err == "septum: the memory ended\n"


@pytest.mark.parametrize("error", [ImportError("cannot import name x"), SystemError("bad argument to internal function")])
def test_any_other_is_one(monkeypatch, capsys, error):
    def load(name):
        raise error

    monkeypatch.setattr(app, "import_module", load)
    assert main(["list"]) == 2
    assert "a defect of septum" in capsys.readouterr().err


@pytest.mark.parametrize(("stream", "words"), [("stdout", ["list", "designs"]), ("stderr", ["explain", "hello"])])
def test_a_stream_that_is_full_is_no_verdict(stream, words):
    with Path("/dev/full").open("w") as full:
        run = command(*words, **{stream: full})
        _, err = run.communicate()
    assert run.returncode == 2
    assert err in (None, "septum: standard output: no space left on device\n")
