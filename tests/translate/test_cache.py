"""Compiled models on disk: what is loaded is what was put there, nobody else could put it there, and it goes in the end."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from septum.lang import UserError
from septum.translate import cache
from septum.translate.compile import compiled, load

ANSWER = "int answer(void) { return 42; }"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compilations(monkeypatch):
    """The objects that were compiled."""
    made = []
    monkeypatch.setattr("septum.translate.compile.put", lambda result, target: (made.append(target), cache.put(result, target)))
    return made


def test_an_object_is_compiled_once(directory, compilations):
    assert load(compiled(ANSWER)).answer() == 42
    assert compiled(ANSWER) == compiled(ANSWER) == compilations[0]
    assert len(compilations) == 1
    assert directory.stat().st_mode & 0o777 == 0o700


DAMAGE = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "another file": lambda path: path.write_bytes(b"\xff" * 100),
    "others may write to it": lambda path: path.chmod(0o666),
}


@pytest.mark.parametrize("suffix", [".so", ".sha256"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_made_anew(directory, compilations, damage, suffix):
    damage(compiled(ANSWER).with_suffix(suffix))
    assert load(compiled(ANSWER)).answer() == 42
    compiled(ANSWER)
    assert len(compilations) == 2


def test_no_flipped_bit_is_loaded(directory):
    target, chance = compiled(ANSWER), random.Random(1)
    for path in (target, target.with_suffix(".sha256")):
        whole = path.read_bytes()
        for _ in range(200):
            at = chance.randrange(len(whole))
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
            assert not cache.is_whole(target)
        path.write_bytes(whole)
    assert cache.is_whole(target)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_that_others_may_write_to_is_not_used(directory, capsys, mode):
    directory.mkdir()
    directory.chmod(mode)
    assert load(compiled(ANSWER)).answer() == 42
    assert not list(directory.iterdir())
    assert f"{directory}: others may write to it" in capsys.readouterr().err
    compiled(ANSWER)
    assert not capsys.readouterr().err, "it is said once"


def test_a_directory_of_another_user_is_not_used(directory, capsys, monkeypatch):
    directory.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: directory.stat().st_uid + 1)
    assert cache.cache_directory() != directory
    assert f"{directory}: belongs to another user" in capsys.readouterr().err


@pytest.mark.parametrize("home", ["", "relative", "~"])
def test_without_home_nothing_is_written_here(tmp_path, home):
    code = "from septum.translate.compile import compiled; print(compiled('int answer;').parent)"
    environment = {"PATH": os.environ["PATH"], "HOME": home, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "there is no HOME" in run.stderr or home == ""
    assert not list(tmp_path.iterdir())
    assert not Path(run.stdout.strip()).exists() or not run.stderr, "it goes with the process"


def test_a_directory_that_cannot_be_made_is_bad_input(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEPTUM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="Not a directory; set SEPTUM_CACHE"):
        compiled(ANSWER)


def test_an_object_is_on_disk_before_it_has_its_name(directory, monkeypatch):
    done = []
    monkeypatch.setattr(cache, "_sync", lambda path: done.append(("sync", path.suffix)))
    monkeypatch.setattr(cache.os, "replace", lambda path, name: (done.append(("name", path.suffix)), os.rename(path, name)))
    compiled(ANSWER)
    assert done == [("sync", ".so"), ("name", ".so"), ("sync", ".sha256"), ("name", ".sha256"), ("sync", "")]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_no_object(directory, monkeypatch, call):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(cache.os, call, fail)
        with pytest.raises(UserError, match="No space left on device; set SEPTUM_CACHE"):
            compiled(ANSWER)
    assert not list(directory.iterdir())
    assert load(compiled(ANSWER)).answer() == 42


def in_the_next_process(code):
    """Compiles as a process that has not looked for what others left."""
    cache._cleaned.clear()
    return compiled(code)


def test_a_process_looks_once_for_what_others_left(directory):
    compiled(ANSWER)
    left = directory / "compiling-left"
    left.mkdir()
    compiled(ANSWER + "int more;")
    assert left.exists()
    in_the_next_process(ANSWER + "int other;")
    assert not left.exists()


def test_what_a_killed_compiler_left_is_cleaned(directory, tmp_path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 10\n")
    slow.chmod(0o700)
    code = "from septum.translate.compile import compiled; compiled('int answer;')"
    run = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "CC": str(slow), "PYTHONPATH": str(ROOT)})
    while not list(directory.glob("compiling-*/model.c")):
        assert run.poll() is None
    [left] = directory.glob("compiling-*")
    compiled(ANSWER)
    assert left.exists(), "it is in use"
    run.send_signal(signal.SIGKILL)
    run.wait()
    in_the_next_process(ANSWER + "int more;")
    assert not list(directory.glob("compiling-*"))


def test_old_objects_go_and_those_in_use_stay(directory):
    old, used = compiled(ANSWER), compiled(ANSWER + "int used;")
    for path in directory.iterdir():
        os.utime(path, (1, 1))
    compiled(ANSWER + "int used;")
    in_the_next_process(ANSWER + "int other;")
    assert not old.exists()
    assert cache.is_whole(used)


def test_beyond_its_size_what_was_used_longest_ago_goes(directory, monkeypatch):
    monkeypatch.setattr(cache, "MOST_BYTES", 40_000)
    made = [compiled(ANSWER + f"int number{i};") for i in range(4)]
    in_the_next_process(ANSWER + "int now;")
    assert all(path.exists() for path in made), "nothing goes that was used within the hour"
    for hours, path in enumerate(made):
        os.utime(path, (0, time.time() - 7200 * (5 - hours)))
    in_the_next_process(ANSWER + "int later;")
    assert not made[0].exists()


def test_flags_of_the_user_make_another_object(tmp_path, monkeypatch):
    """What was compiled with other flags is not taken for it."""
    monkeypatch.setenv("SEPTUM_CACHE", str(tmp_path))
    monkeypatch.setenv("CFLAGS", "-O0 -DANSWER=1")
    first = compiled("int answer = ANSWER;")
    monkeypatch.setenv("CFLAGS", "-O0 -DANSWER=2")
    assert ctypes.c_int.in_dll(load(compiled("int answer = ANSWER;")), "answer").value == 2
    assert ctypes.c_int.in_dll(load(first), "answer").value == 1


def test_what_cannot_be_loaded_says_where_else_to_keep_it(tmp_path):
    """As on a file system from which nothing may be executed."""
    (tmp_path / "library.so").write_bytes(b"not a library")
    with pytest.raises(UserError, match="set SEPTUM_CACHE to a directory from which libraries are loaded"):
        load(tmp_path / "library.so")
