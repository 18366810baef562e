"""`--patch`: the model as a patch changes it is checked, and what comes out is of the patched model alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from septum.check.versions import PACKAGE
from septum.cli import main

pytestmark = pytest.mark.usefixtures("quickly_compiled")

MODEL = """
    from septum.host.cpu import Cpu
    from septum.host.geometry import THREADS, ThreadId
    from septum.host.locks import SpinLock, spin_lock, spin_unlock
    from septum.lang import Model, Property, Scenario, Struct, call, process, u8

    class World(Struct):
        cpu: Cpu[ThreadId]
        lock: SpinLock
        n: u8

    @process
    def take(m: World):
        yield from spin_lock(m, m.lock)
        m.n = u8(m.n + 1)
        yield
        assert m.n == 1, "custody: two are in"
        m.n = u8(m.n - 1)
        spin_unlock(m, m.lock)

    def start(setup):
        setup.thread("T0", call(take))
        setup.thread("T1", call(take))

    PROPERTIES = (Property("custody", "one is in"), Property("context", "locks"), Property("asserts", ""))
    model = Model("mine", World, (Scenario("two", "", start, bindings={THREADS: 2}),), PROPERTIES)
"""
UNLOCKED = """\
--- a/septum/host/locks.py
+++ b/septum/host/locks.py
@@ -135,7 +135,7 @@
         assert not interruptible(m, lock), (
             "context: a softirq spins for a lock that is held with softirqs on, perhaps on its own CPU"
         )
-    yield when(lambda: lock.writer == 0)
-    acquire(m, lock)
+    yield
+    lock.writer = lock.writer | only(me())
     m.cpu[me()].spinning += 1
"""


@pytest.fixture
def patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(textwrap.dedent(MODEL))
    Path("fix.patch").write_text(UNLOCKED)
    return "fix.patch"


def septum(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "septum", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)})


def test_a_patched_model_and_its_token(patch: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = septum("check", "./mine.py", "--engine", "python", "--patch", patch)
    text = found.stdout
    assert (found.returncode, found.stderr) == (1, "")
    assert "violated: custody" in text
    assert "The model is septum's with fix.patch." in text
    [command] = re.findall(r"septum explain (?:\\\s+)?(s2-\S+ \S+ --patch fix.patch)", text)
    token = command.split()[0]
    assert "custody: two are in" in septum("explain", *command.split()).stdout
    assert main(["explain", token, "./mine.py"]) == 2
    assert "was made of a model with a patch, and needs it" in capsys.readouterr().err
    assert main(["check", "./mine.py", "--engine", "python"]) == 0
    Path("other.patch").write_text(UNLOCKED.replace("+    yield\n", "+    yield  # as a spinlock that is none\n"))
    assert "made with another patch than other.patch" in septum("explain", token, "./mine.py", "--patch", "other.patch").stderr


def test_a_patch_that_cannot_be_used_is_refused(patch: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(patch).write_text(UNLOCKED.replace("host/locks", "explore/build"))
    assert main(["check", "./mine.py", "--patch", patch]) == 2
    assert "septum: fix.patch:3: septum/explore/build.py is no file of the model" in capsys.readouterr().err
    assert main(["check", "./mine.py", "--patch", "nothing.patch"]) == 2
    assert "nothing.patch: No such file or directory" in capsys.readouterr().err
