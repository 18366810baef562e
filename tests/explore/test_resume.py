"""A run that was killed, at whatever moment, goes on and ends as if nothing had happened."""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from septum.check import check as checking
from septum.check.check import check
from septum.check.result import Verdict
from septum.explore import explore as exploring
from septum.explore.checkpoint import Checkpoint
from septum.explore.explore import Budget, Outcome
from septum.lang.errors import UserError
from tests.explore import test_explore
from tests.explore.test_explore import FINDINGS, check_finding, largest_file, numbers
from tests.explore.test_forged import header

toy = test_explore.toy

MODEL = b"the toy"
ROOT = Path(__file__).parents[2]

# Kills itself once it has so many states and, if it is to be in the middle of a checkpoint, once that is begun.
CHILD = textwrap.dedent("""
    import ctypes, os, signal, sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from septum.explore import explore as explorer
    from septum.explore.checkpoint import Checkpoint

    def watch(progress):
        if progress.states >= {states} and (not {in_checkpoint} or checkpoint.unfinished.exists()):
            os.kill(os.getpid(), signal.SIGKILL)

    explorer.POLL_SECONDS = 0.0002
    library = ctypes.CDLL({library!r})
    initial = ctypes.create_string_buffer(library.septum_state_size())
    library.toy_initial(initial)
    checkpoint = Checkpoint(Path({path!r}), {model!r}, resume=True, seconds=0)
    found = explorer.explore(
        library, initial.raw, library.septum_max_threads(), symmetry=False, fusion=False, progress=watch, checkpoint=checkpoint,
        **{options!r}, directory=Path({path!r}).parent,
    )
    print(found.outcome.name)
""")


def killed(toy, path, states, in_checkpoint=False, **options):
    """Whether the child was killed before it came to the end."""
    values = {"root": str(ROOT), "library": toy.library._name, "path": str(path), "model": MODEL, "options": options}
    code = CHILD.format(states=states, in_checkpoint=in_checkpoint, **values)
    child = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert child.returncode in (0, -signal.SIGKILL), child.stderr
    return child.returncode != 0


def kept(tmp_path, **options):
    return Checkpoint(tmp_path / "run.checkpoint", MODEL, **{"seconds": 0, **options})


@pytest.fixture
def stopped(toy, tmp_path):
    """A checkpoint of B, about in the middle."""
    found = toy("B").explore(budget=Budget(states=150_000), checkpoint=kept(tmp_path))
    assert found.outcome is Outcome.OUT_OF_STATES
    assert found.checkpoints > 3
    return kept(tmp_path, resume=True)


def same(found, expected):
    assert found.outcome is expected.outcome
    assert (numbers(found), found.witnesses, found.covered) == (numbers(expected), expected.witnesses, expected.covered)


# -- Killed --


@pytest.mark.parametrize("spill_bytes", [1 << 30, 1], ids=["memory", "disk"])
def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(toy, tmp_path, spill_bytes):
    """Ten times in a row, each time by another number of workers, now and then in the middle of a checkpoint."""
    chance = random.Random(spill_bytes)
    moments = sorted(chance.randrange(1, 270_000) for _ in range(10))
    kills = 0
    for time, states in enumerate(moments):
        options = {"in_checkpoint": time % 3 == 2, "workers": time % 3 + 1, "spill_bytes": spill_bytes}
        kills += killed(toy("B"), kept(tmp_path).path, states, **options)
    assert kills > 4
    told = []
    found = toy("B").explore(checkpoint=kept(tmp_path, resume=True), resumed=told.append)
    same(found, toy("B").explore())
    assert told == ([found.resumed] if found.resumed else [])
    assert not list(tmp_path.iterdir())


def test_a_killed_run_that_would_find_something_finds_it(toy, tmp_path):
    planted = toy("B", "kept lock")
    assert killed(planted, kept(tmp_path).path, 2_000)
    found = planted.explore(checkpoint=kept(tmp_path, resume=True))
    check_finding(planted, found, Outcome.DEADLOCK, None)
    assert len(found.schedule) == len(planted.explore().schedule)


def test_what_was_lost_is_told(toy, tmp_path):
    assert killed(toy("C"), kept(tmp_path).path, 1_500_000)
    told = []
    found = toy("C").explore(checkpoint=kept(tmp_path, resume=True), resumed=told.append)
    assert told == [found.resumed]
    was = found.resumed
    assert 0 < was.depth < 44
    assert 0 < was.states < 3_320_344
    assert 0 < was.states + was.lost_states < 3_320_344
    assert 0 < was.seconds < found.seconds
    assert str(was).startswith(f"resumed at level {was.depth} with {was.states:,} states")


# -- Ended by a budget --


@pytest.mark.parametrize("reductions", [{}, {"symmetry": True}, {"fusion": True}, {"symmetry": True, "fusion": True}], ids=str)
@pytest.mark.parametrize("configuration", ["A", "B"])
def test_a_run_goes_on_from_wherever_it_ended(toy, tmp_path, configuration, reductions):
    whole = toy(configuration).explore(**reductions)
    for part in range(1, 6):
        states = whole.states * part // 6
        options = {"budget": Budget(states=states), "checkpoint": kept(tmp_path, resume=part > 1), "workers": part % 2 + 1}
        found = toy(configuration).explore(**options, **reductions)
        assert found.outcome is Outcome.OUT_OF_STATES
    same(toy(configuration).explore(checkpoint=kept(tmp_path, resume=True), **reductions), whole)


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding[1])
def test_a_resumed_run_finds_the_same(toy, tmp_path, finding):
    configuration, plant, outcome, failure = finding
    planted = toy(configuration, plant)
    whole = planted.explore()
    planted.explore(budget=Budget(states=max(whole.states // 2, 1)), checkpoint=kept(tmp_path))
    found = planted.explore(checkpoint=kept(tmp_path, resume=True))
    check_finding(planted, found, outcome, failure)
    assert len(found.schedule) == len(whole.schedule)
    assert not list(tmp_path.iterdir())


def test_a_depth_limit_is_remembered(toy, tmp_path):
    planted, limit = toy("A"), {"max_depth": 20}
    planted.explore(budget=Budget(states=2_000), checkpoint=kept(tmp_path), **limit)
    assert planted.explore(checkpoint=kept(tmp_path, resume=True), **limit).outcome is Outcome.DEPTH_REACHED


def test_without_a_checkpoint_a_run_begins(toy, tmp_path):
    found = toy("A").explore(checkpoint=kept(tmp_path, resume=True))
    same(found, toy("A").explore())
    assert found.resumed is None


def test_who_does_not_resume_begins_anew(toy, stopped, tmp_path):
    found = toy("B").explore(checkpoint=kept(tmp_path))
    same(found, toy("B").explore())
    assert found.resumed is None


def test_checkpoints_are_as_rare_as_was_asked_for(toy, tmp_path):
    assert toy("B").explore(checkpoint=kept(tmp_path, seconds=60)).checkpoints == 0


def test_memory_may_run_out_while_a_run_is_resumed(toy, stopped, tmp_path):
    whole, outcomes = toy("B").explore(), []
    copy = Path(shutil.copy(stopped.path, tmp_path / "copy"))
    for budget in range(0, 30 << 20, 1 << 20):
        shutil.copy(copy, stopped.path)
        found = toy("B").explore(budget=Budget(bytes=budget), checkpoint=stopped)
        outcomes.append(found.outcome)
        assert stopped.path.exists() == (found.outcome is Outcome.OUT_OF_MEMORY)
        assert found.outcome is Outcome.OUT_OF_MEMORY or numbers(found) == numbers(whole)
    assert set(outcomes) == {Outcome.OUT_OF_MEMORY, Outcome.COMPLETE}


@pytest.mark.parametrize("spill_bytes", [1 << 30, 1], ids=["memory", "disk"])
def test_a_limit_that_ends_a_run_leaves_a_checkpoint_however_short_it_was(toy, tmp_path, spill_bytes):
    """None is due before the end, which comes in the middle of a level."""
    once = {"seconds": 3600.0, "kept": True}
    limits = [Budget(seconds=0), *(Budget(states=states) for states in (1, 500, 40_000, 90_000, 200_000)), Budget(seconds=0)]
    for number, budget in enumerate(limits):
        options = {"workers": number % 3 + 1, "spill_bytes": spill_bytes, "directory": tmp_path}
        found = toy("B").explore(budget=budget, checkpoint=kept(tmp_path, resume=number > 0, **once), **options)
        assert found.outcome in (Outcome.OUT_OF_STATES, Outcome.OUT_OF_TIME)
        assert found.checkpoints == 1
    same(toy("B").explore(checkpoint=kept(tmp_path, resume=True)), toy("B").explore())


def test_so_does_a_limit_of_memory(toy, tmp_path):
    found = toy("B").explore(budget=Budget(bytes=6 << 20), checkpoint=kept(tmp_path, seconds=3600.0))
    assert found.outcome is Outcome.OUT_OF_MEMORY
    assert found.checkpoints > 0
    again = toy("B").explore(checkpoint=kept(tmp_path, resume=True))
    assert again.resumed
    same(again, toy("B").explore())


def test_a_run_that_was_crowded_completes_with_more_memory(toy, tmp_path):
    """The last table that memory held was filled to the brim; it grows where there is room again."""
    for kibibytes in range(6_000, 9_000, 100):
        options = {"workers": 1, "directory": tmp_path, "spill_bytes": 1}
        toy("B").explore(budget=Budget(bytes=kibibytes << 10), checkpoint=kept(tmp_path), **options)
        if header(kept(tmp_path).path.read_bytes())["crowded"]:
            break
    found = toy("B").explore(checkpoint=kept(tmp_path, resume=True))
    assert found.resumed.states > 150_000
    same(found, toy("B").explore())


def test_two_runs_of_one_check_do_not_take_each_others_checkpoint(toy, tmp_path):
    """The second one does without, and refuses where it was asked to go on."""
    first = kept(tmp_path)
    with first.held() as alone:
        assert alone
        second = toy("A").explore(budget=Budget(states=2_000), checkpoint=kept(tmp_path))
        assert (second.outcome, second.checkpoints) == (Outcome.OUT_OF_STATES, 0)
        with pytest.raises(UserError, match="another run uses this checkpoint"):
            toy("A").explore(checkpoint=kept(tmp_path, resume=True))
    assert not list(tmp_path.iterdir())
    assert toy("A").explore(budget=Budget(states=2_000), checkpoint=kept(tmp_path)).checkpoints > 0


def test_a_lock_that_a_killed_run_left_keeps_nobody_out(toy, tmp_path):
    (tmp_path / "run.checkpoint.lock").write_text("")
    assert toy("A").explore(budget=Budget(states=2_000), checkpoint=kept(tmp_path, resume=True)).checkpoints > 0
    assert [path.name for path in tmp_path.iterdir()] == ["run.checkpoint"]


# -- Files that do not work --


@pytest.mark.parametrize("size", [0, 1_000, 1 << 20])
def test_a_checkpoint_that_does_not_fit_is_done_without(toy, tmp_path, size):
    with largest_file(size):
        found = toy("B").explore(checkpoint=kept(tmp_path))
    same(found, toy("B").explore())
    assert found.failed_checkpoints > 0
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_last_checkpoint(toy, stopped):
    before = stopped.path.read_bytes()
    with largest_file(1 << 20):
        found = toy("B").explore(budget=Budget(states=250_000), checkpoint=stopped)
    assert found.failed_checkpoints > 0
    assert len(stopped.path.read_bytes()) == len(before)
    same(toy("B").explore(checkpoint=stopped), toy("B").explore())


def test_a_checkpoint_of_another_model_is_refused(toy, stopped):
    other = Checkpoint(stopped.path, b"another", resume=True)
    with pytest.raises(UserError, match=r"run.checkpoint: is a checkpoint of another model"):
        toy("B").explore(checkpoint=other)
    assert stopped.path.exists()


@pytest.mark.parametrize("options", [{"symmetry": True}, {"fusion": True}, {"daemons": 1}, {"max_depth": 50}], ids=str)
def test_a_checkpoint_of_another_exploration_is_refused(toy, stopped, options):
    with pytest.raises(UserError, match="another model"):
        toy("B").explore(checkpoint=stopped, **options)


def test_a_damaged_checkpoint_is_refused(toy, stopped):
    whole = stopped.path.read_bytes()
    chance = random.Random(1)
    body = range(400, len(whole))
    for place in [0, 8, 40, 60, len(whole) - 1, *(chance.choice(body) for _ in range(20))]:
        stopped.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
        with pytest.raises(UserError, match="damaged"):
            toy("B").explore(checkpoint=stopped)
    for size in [0, 100, 1_000, len(whole) // 2, len(whole) - 1]:
        stopped.path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="damaged"):
            toy("B").explore(checkpoint=stopped)
    stopped.path.write_bytes(whole)
    same(toy("B").explore(checkpoint=stopped), toy("B").explore())


def test_a_checkpoint_that_another_run_uses_is_refused(toy, stopped):
    with stopped.path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another run"):
            toy("B").explore(checkpoint=stopped)


def test_a_checkpoint_that_cannot_be_read_is_refused(toy, tmp_path):
    (tmp_path / "run.checkpoint").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        toy("A").explore(checkpoint=kept(tmp_path, resume=True))


# -- A check --


def test_a_check_goes_on_where_its_budget_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTUM_CACHE", str(tmp_path))
    monkeypatch.setattr(checking, "RESUMED_SECONDS", 0)
    monkeypatch.setattr(checking, "UNASKED_SECONDS", 0)
    what, told = {"design": "upstream", "scenario": "neighbours_enomem", "reduce": frozenset()}, []
    whole = check(**what)
    assert whole.holds
    part = Budget(states=whole.states // 2)
    assert check(**what, budget=part).verdict is Verdict.INCOMPLETE
    assert not list(tmp_path.glob("*.checkpoint")), "it was not asked for"
    assert check(**what, budget=part, resume=True, notice=told.append).verdict is Verdict.INCOMPLETE
    assert not told
    [kept_as] = tmp_path.glob("upstream-neighbours_enomem-*.checkpoint")
    check("upstream", "neighbours_enomem", resume=True, notice=told.append)
    assert told.pop().startswith(f"upstream neighbours_enomem: begins anew; {kept_as} is of another version of the model")
    found = check(**what, resume=True, notice=told.append)
    assert told.pop().startswith("upstream neighbours_enomem: resumed at level ")
    assert (found.verdict, found.states, found.transitions, found.depth) == (
        whole.verdict,
        whole.states,
        whole.transitions,
        whole.depth,
    )
    assert (found.witnesses, found.unexecuted) == (whole.witnesses, whole.unexecuted)
    assert not list(tmp_path.glob("*.checkpoint*"))


def test_a_full_disk_makes_a_check_incomplete(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTUM_SPILL", str(tmp_path))
    monkeypatch.setattr(exploring, "_spill_bytes", lambda budget: 1)
    what = {"design": "upstream", "scenario": "neighbours_enomem", "reduce": frozenset()}
    assert check(**what).holds
    with largest_file(10_000):
        found = check(**what)
    assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, "the disk is full or does not work")


def test_a_checkpoint_that_nobody_goes_on_from_is_removed_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTUM_CACHE", str(tmp_path))
    old, fresh, other = (tmp_path / name for name in ("old-1.checkpoint", "fresh-1.checkpoint", "notes.txt"))
    for path in (old, fresh, other):
        path.write_bytes(b"")
    for path in (old, other):
        os.utime(path, (0, 0))
    assert check("upstream", "punch_hole").holds
    assert (old.exists(), fresh.exists(), other.exists()) == (False, True, True)
