"""A run that one library began and a better one goes on with; and when a better one is made."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from septum.explore import explore as explorer
from septum.explore import libraries
from septum.explore.explore import Outcome, explore
from septum.explore.libraries import Libraries
from septum.explore.watching import Watching
from septum.lang.types import scope
from septum.translate import compile as compiling

COUNTERS = """
    @process
    def p(m: World):
        i = u8(0)
        while i < 4:
            yield
            read = m.n
            yield
            m.n = u8(read + 1)
            i = u8(i + 1)
            if m.n == 7:
                reached(seen)
        {}
"""
HOLDS, BREAKS = "m.small[0] = 1", "assert m.n != 3"


@pytest.fixture
def made_at_once(monkeypatch, tmp_path):
    """An empty cache, no flags of the user, and no need to wait for a compiler; what was compiled, by its flags."""
    made = []
    libraries._watching()

    def compiled(command, code, target):
        made.append([flag for flag in command if flag.startswith(("-O0", "-D"))])
        compile_it(command, code, target)

    compile_it = compiling._compile
    monkeypatch.setenv("SEPTUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CFLAGS", raising=False)
    monkeypatch.setattr(compiling, "_compile", compiled)
    monkeypatch.setattr(libraries, "compiling", lambda code, extra: (compiling.compiled(code, extra), lambda: True)[1])
    monkeypatch.setattr(libraries, "PATIENCE", 2)
    return made


@pytest.mark.parametrize("last", [HOLDS, BREAKS])
@pytest.mark.parametrize("watching", [Watching.NOTHING, Watching.TO_THE_END])
def test_a_run_that_changes_its_library_at_every_level_finds_what_one_finds(program, tmp_path, monkeypatch, last, watching):
    monkeypatch.setenv("CFLAGS", "-O0")
    built = program(COUNTERS.format(last), threads=3)
    with scope(built.bindings):
        one = built.reducible(watched=watching is not Watching.NOTHING)
        copy = shutil.copy(one._name, tmp_path / "copy.so")
        two = built._programmed(ctypes.CDLL(copy))
        for give in (built.tables(), built.automorphisms(), *filter(None, [built._meetings if watching.value else None])):
            give.give(two)
    changes = []

    class Relay(explorer._Relay):
        def explore(self):
            self.run.change, turns = 1, [one, two]
            turns[0].septum_explore(ctypes.byref(self.run))
            while self.run.left:
                changes.append(self.run.progress.depth)
                self.library = turns[len(changes) % 2]
                self.library.septum_explore(ctypes.byref(self.run))

    options = {"workers": 2, "fusion": True, "partial": True, "watching": watching}
    alone = explore(one, built.initial, 3, **options)
    monkeypatch.setattr(explorer, "_Relay", Relay)
    together = explore(one, built.initial, 3, **options)
    assert changes == list(range(1, alone.depth + 1))
    assert alone.states > 100
    unlike = {"seconds": 0, "peak_bytes": 0, "schedule": ()}
    assert replace(together, **unlike) == replace(alone, **unlike)
    assert len(together.schedule) == len(alone.schedule)
    assert (alone.outcome is Outcome.VIOLATED) == (last is BREAKS)
    assert (alone.race is not None) == (watching is not Watching.NOTHING)


def test_a_process_has_room_for_hundreds_that_watch(program, tmp_path, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O0")
    built = program("""
        @process
        def p(m: World):
            yield
            m.n = 1
    """)
    with scope(built.bindings):
        path = built.watched()._name
    loaded = [ctypes.CDLL(shutil.copy(path, tmp_path / f"{number}.so")) for number in range(300)]
    assert len({one._handle for one in loaded}) == 300


def test_a_better_library_is_made_once_exploring_lasts(made_at_once):
    both = Libraries("int part;", few_states=False)
    quick = both.library("WATCHED", quick=True)
    assert both.better("WATCHED") is None, "it does not last yet"
    better = both.better("WATCHED")
    assert made_at_once == [["-O0", "-DWATCHED"], ["-DWATCHED"]]
    assert better not in (None, quick)
    assert both.library("WATCHED") is better
    assert both.better("WATCHED") is None, "there is none that is better still"


def test_who_does_not_take_over_a_better_one_has_it_at_once(made_at_once):
    only = Libraries("int part;", few_states=False)
    assert only.library() is only.library(quick=True)
    assert only.better() is None
    assert made_at_once == [[]]


def test_one_that_was_made_better_before_is_taken_at_once(made_at_once):
    for _ in range(2):
        found = Libraries("int part;", few_states=False)
        found.library(quick=True)
        found.better()
        found.better()
    assert made_at_once == [["-O0"], []]


def test_the_one_that_tells_accesses_serves_for_the_plain_one(made_at_once):
    both = Libraries("int part;", few_states=False)
    assert both.library("WATCHED", quick=True) is both.library("")
    both.better("")
    assert both.better("") is both.library("WATCHED") is both.library("")
    assert both.library("HUNTS") is not both.library("")


def test_what_a_hunt_runs_is_never_made_quickly(made_at_once):
    Libraries("int part;", few_states=False).library("HUNTS")
    assert made_at_once == [["-DHUNTS"]]


def test_few_states_and_flags_of_the_user_make_one_library(made_at_once, monkeypatch):
    few = Libraries("int part;", few_states=True)
    few.library(quick=True)
    assert [few.better(), few.better()] == [None, None]
    monkeypatch.setenv("CFLAGS", "-DMINE")
    own = Libraries("int part;", few_states=False)
    own.library(quick=True)
    assert [own.better(), own.better()] == [None, None]
    assert made_at_once == [["-O0"], ["-DMINE"]]


def test_what_does_not_compile_better_is_done_without(made_at_once, monkeypatch):
    quick = Libraries("#ifndef __OPTIMIZE__\nint part;\n#else\n#error no\n#endif", few_states=False)

    monkeypatch.setattr(libraries, "compiling", compiling.compiling)
    library = quick.library(quick=True)
    while quick._asked:
        assert quick.better() is None
    assert quick.library() is library
    assert made_at_once == [["-O0"], []]


def test_a_compiler_ends_with_the_process(tmp_path):
    slow, told = tmp_path / "slow", tmp_path / "told"
    slow.write_text(f"#!/bin/sh\necho $$ > {told}.part\nmv {told}.part {told}\nexec sleep 100\n")
    slow.chmod(0o700)
    code = f"""
from pathlib import Path
from septum.translate.compile import compiling
compiling("int answer;")
while not Path({str(told)!r}).exists(): pass
"""
    environment = {**os.environ, "CC": str(slow), "SEPTUM_CACHE": str(tmp_path / "cache")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert not run.stderr
    assert not Path(f"/proc/{told.read_text().strip()}").exists()
    assert not list((tmp_path / "cache").iterdir()), "it leaves nothing half made"
