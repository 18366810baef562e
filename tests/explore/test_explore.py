"""The C explorer on a protocol whose state space every checker agrees on, and on the same protocol with faults planted."""

import ctypes
import random
import resource
import shutil
import subprocess
import sys
from collections import deque
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from septum.explore.explore import Budget, Outcome, Progress, explore, sources
from septum.lang.errors import UserError

HERE = Path(__file__).parent
PLANTS = ["nothing", "blind leaf", "eager zap", "kept lock", "failing alloc", "coins", "spin", "leak", "vague names"]
PLANTS += ["ignored", "ignored coins"]
ASSERT_SEPT_FREE, ASSERT_NOT_ALL_HEADS, AGREEMENT, NOTHING_LEFT = 1, 3, 10, 11
STEP_DONE, STEP_BLOCKED, STEP_FAILED, STEP_PRUNED = range(4)
ZAP = 0b100

COMPILER = next(([path] for path in map(shutil.which, ("cc", "gcc", "clang")) if path), [sys.executable, "-m", "ziglang", "cc"])


class Step(ctypes.Structure):
    _fields_ = [("choice", ctypes.c_uint32), ("failure", ctypes.c_int32), ("witnesses", ctypes.c_uint64)]


class Toy:
    """The protocol in one configuration, with one fault planted."""

    def __init__(self, library):
        self.library = library
        self.size = library.septum_state_size()
        self.threads = library.septum_max_threads()
        state = ctypes.create_string_buffer(self.size)
        library.toy_initial(state)
        self.initial = state.raw

    def explore(self, *, symmetry=False, fusion=False, **options):
        return explore(self.library, self.initial, self.threads, symmetry=symmetry, fusion=fusion, **options)

    def choices(self, state, thread):
        return self.library.septum_choices(state, thread)

    def check(self, state, at_rest):
        return self.library.septum_check_state(state, at_rest)

    def canonical(self, state):
        to = ctypes.create_string_buffer(self.size)
        self.library.septum_canonical(state, to)
        return to.raw

    def step(self, state, thread, choice):
        """The outcome of the step, the state after it, and the id of the assertion that failed."""
        buffer, step = ctypes.create_string_buffer(state, self.size), Step(choice, -1, 0)
        return self.library.septum_step(buffer, thread, ctypes.byref(step)), buffer.raw, step.failure

    def moves(self, state):
        """Every step out of a state that does not block."""
        for thread in range(self.threads):
            for choice in range(self.choices(state, thread)):
                outcome, after, failure = self.step(state, thread, choice)
                if outcome != STEP_BLOCKED:
                    yield outcome, after, failure

    def nearest_finding(self, daemons=0, name=lambda state: state):
        """The oracle: plain breadth-first search over whole states, to the length of the shortest schedule that finds something.

        Without a finding, the numbers of states, transitions and final states, and the depth.
        """
        start = name(self.initial)
        seen, queue, transitions, final, depth = {start}, deque([(start, 0)]), 0, 0, 0
        nearest = None
        while queue and (nearest is None or queue[0][1] < nearest):
            state, depth = queue.popleft()
            moved = False
            for outcome, after, _ in self.moves(state):
                moved = True
                if outcome == STEP_PRUNED:
                    continue
                if outcome == STEP_FAILED:
                    nearest = depth + 1
                    continue
                transitions += 1
                after = name(after)
                if after not in seen:
                    seen.add(after)
                    queue.append((after, depth + 1))
                    if self.check(after, False) != -1:
                        nearest = depth + 1
            if not moved:
                ended = [not self.choices(state, thread) for thread in range(self.threads)]
                final += all(ended)
                rests = all(end or daemons >> thread & 1 for thread, end in enumerate(ended))
                if not rests or self.check(state, True) != -1:
                    return depth
        return nearest if nearest is not None else (len(seen), transitions, depth, final)

    def replay(self, schedule):
        """The outcome of the last step, the state that the schedule leads to, and the assertion that failed."""
        outcome, state, failure = STEP_DONE, self.initial, -1
        for thread, choice in schedule:
            assert outcome == STEP_DONE
            assert choice < self.choices(state, thread)
            outcome, state, failure = self.step(state, thread, choice)
        return outcome, state, failure


def numbers(found):
    return found.states, found.transitions, found.depth, found.final_states


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    @cache
    def build(configuration, plant="nothing", padding=0):
        folder = tmp_path_factory.mktemp("toy")
        parts = [HERE / "explorer_toy.c", *(path for part in sources().values() for path in part), HERE / "explorer_toy_hooks.c"]
        (folder / "toy.c").write_text("".join(f'#include "{part}"\n' for part in parts))
        defines = [f"-DCONFIG='{configuration}'", f"-DPLANT={PLANTS.index(plant)}", f"-DPADDING={padding}"]
        flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", *defines]
        subprocess.run([*COMPILER, *flags, "toy.c", "-o", "toy.so"], cwd=folder, check=True)
        return Toy(ctypes.CDLL(str(folder / "toy.so")))

    return build


# -- What every checker must count --


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize(
    ("configuration", "expected"), [("A", (39_882, 70_444, 33, 792)), ("B", (276_670, 629_865, 40, 948))], ids="AB"
)
def test_counts_what_every_checker_counts(toy, configuration, expected, workers):
    found = toy(configuration).explore(workers=workers)
    assert found.outcome is Outcome.COMPLETE
    assert numbers(found) == expected
    assert (found.failure, found.schedule) == (None, ())


def test_counts_what_every_checker_counts_in_a_large_space_of_large_states(toy):
    found = toy("C", padding=40).explore()
    assert found.outcome is Outcome.COMPLETE
    assert numbers(found) == (3_320_344, 7_471_742, 44, 32_366)


def test_agrees_with_the_oracle(toy):
    assert numbers(toy("A").explore()) == toy("A").nearest_finding()


def test_follows_every_choice(toy):
    found = toy("A", "failing alloc").explore()
    assert found.outcome is Outcome.COMPLETE
    assert numbers(found) == toy("A", "failing alloc").nearest_finding()


def test_tells_which_witnesses_and_lines_were_reached(toy):
    retry, zapped, no_page = 1, 2, 4
    assert toy("A").explore().witnesses == retry | no_page
    found = toy("B").explore()
    assert found.witnesses == retry | zapped | no_page
    end, coin = 16, 17
    assert [line for line, ran in enumerate(found.covered) if not ran] == [end, coin]


def test_coverage_is_that_of_the_last_run(toy):
    toy("A").explore()
    assert sum(toy("A").explore(max_depth=1).covered) < sum(toy("A").explore().covered)


def test_the_chance_of_a_collision_is_told(toy):
    assert 0 < toy("A").explore().collision_chance < 1e-28


# -- Findings --

FINDINGS = [
    ("A", "blind leaf", Outcome.VIOLATED, ASSERT_SEPT_FREE),
    ("A", "leak", Outcome.VIOLATED, NOTHING_LEFT),
    ("B", "eager zap", Outcome.VIOLATED, AGREEMENT),
    ("B", "kept lock", Outcome.DEADLOCK, None),
    ("B", "coins", Outcome.VIOLATED, ASSERT_NOT_ALL_HEADS),
]


def check_finding(toy, found, outcome, failure):
    """The schedule must lead to what was found."""
    assert (found.outcome, found.failure) == (outcome, failure)
    assert found.traced
    last, state, failed = toy.replay(found.schedule)
    if outcome is Outcome.DEADLOCK:
        assert not list(toy.moves(state))
        assert any(toy.choices(state, thread) for thread in range(toy.threads))
    elif last == STEP_FAILED:
        assert failed == failure
    else:
        assert toy.check(state, not any(toy.choices(state, thread) for thread in range(toy.threads))) == failure


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding[1])
@pytest.mark.parametrize("workers", [1, 2])
def test_finds_what_was_planted_by_a_shortest_schedule(toy, finding, workers):
    configuration, plant, outcome, failure = finding
    planted = toy(configuration, plant)
    found = planted.explore(workers=workers)
    check_finding(planted, found, outcome, failure)
    assert len(found.schedule) == planted.nearest_finding()


def test_one_worker_always_finds_the_same_schedule(toy):
    assert len({toy("A", "blind leaf").explore(workers=1).schedule for _ in range(3)}) == 1


def test_a_violated_initial_state_needs_no_schedule(toy):
    planted = toy("A")
    page, padding = 2, 8
    spt_of_root = padding + 8 * 1 + page
    broken = bytearray(planted.initial)
    broken[spt_of_root] = 3
    found = explore(planted.library, bytes(broken), 2, symmetry=False, fusion=False)
    assert (found.outcome, found.failure, found.schedule, found.traced) == (Outcome.VIOLATED, AGREEMENT, (), True)


def test_a_daemon_may_wait_for_ever(toy):
    planted = toy("B", "kept lock")
    found = planted.explore(daemons=ZAP)
    assert found.outcome is Outcome.COMPLETE
    assert numbers(found) == planted.nearest_finding(daemons=ZAP)


def test_a_failure_that_is_ignored_ends_its_schedule_and_is_no_deadlock(toy):
    found = toy("A", "ignored").explore()
    assert found.outcome is Outcome.COMPLETE
    assert numbers(found) == toy("A", "ignored").nearest_finding()
    assert found.states != toy("A").explore().states


# -- Reductions --


@pytest.mark.parametrize("workers", [1, 2])
def test_symmetry_explores_one_state_of_each_orbit(toy, workers):
    plain = toy("A")
    assert numbers(plain.explore(symmetry=True, workers=workers)) == plain.nearest_finding(name=plain.canonical)


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding[1])
@pytest.mark.parametrize(("symmetry", "fusion"), [(True, False), (False, True), (True, True)])
def test_reductions_find_the_same_by_a_real_schedule(toy, finding, symmetry, fusion):
    configuration, plant, outcome, failure = finding
    planted = toy(configuration, plant)
    found = planted.explore(symmetry=symmetry, fusion=fusion)
    check_finding(planted, found, outcome, failure)
    assert found.states <= planted.explore().states


def test_fusion_keeps_the_final_states(toy):
    plain, fused = toy("B").explore(), toy("B").explore(fusion=True)
    assert fused.outcome is Outcome.COMPLETE
    assert fused.final_states == plain.final_states
    assert fused.states < plain.states


def test_fusion_follows_every_choice_of_a_local_step(toy):
    planted = toy("B", "coins")
    heads_and_tails = planted.explore(fusion=True)
    assert heads_and_tails.schedule == ((2, 0), (2, 1), (2, 1), (2, 1))
    tails = 7
    assert heads_and_tails.transitions == tails


def test_fusion_ends_with_a_thread_that_does_nothing_for_ever(toy):
    assert toy("B", "spin").explore(fusion=True).outcome is Outcome.COMPLETE


def test_fusion_lets_others_go_on_before_a_local_failure_that_is_ignored(toy):
    plain, fused = toy("B", "ignored coins").explore(), toy("B", "ignored coins").explore(fusion=True)
    assert (plain.outcome, fused.outcome) == (Outcome.COMPLETE, Outcome.COMPLETE)
    assert fused.witnesses == plain.witnesses != 0
    assert fused.covered == plain.covered
    assert (plain.final_states, fused.final_states) == (0, 0)


def test_a_finding_that_cannot_be_traced_is_no_less_found(toy):
    found = toy("A", "vague names").explore(symmetry=True)
    assert (found.outcome, found.failure) == (Outcome.VIOLATED, ASSERT_SEPT_FREE)
    assert (found.traced, found.schedule) == (False, ())


# -- Budgets --


def test_a_budget_of_states_ends_the_run(toy):
    found = toy("B").explore(budget=Budget(states=10_000))
    assert found.outcome is Outcome.OUT_OF_STATES
    assert 10_000 < found.states < 20_000


def test_a_budget_of_states_that_suffices_changes_nothing(toy):
    found = toy("A").explore(budget=Budget(states=39_882))
    assert (found.outcome, found.states) == (Outcome.COMPLETE, 39_882)


def test_a_budget_of_time_ends_the_run(toy):
    found = toy("D").explore(budget=Budget(seconds=0.01))
    assert found.outcome is Outcome.OUT_OF_TIME
    assert found.states > 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("configuration", "most", "by"), [("A", 6 << 20, 60_000), ("B", 24 << 20, 600_000)], ids="AB")
def test_memory_may_run_out_anywhere(toy, configuration, most, by, workers):
    complete = numbers(toy(configuration).explore())
    outcomes = []
    for budget in range(0, most, by):
        found = toy(configuration).explore(budget=Budget(bytes=budget), workers=workers)
        assert found.peak_bytes <= budget
        assert numbers(found) == complete or found.outcome is Outcome.OUT_OF_MEMORY
        outcomes.append(found.outcome)
    assert set(outcomes) == {Outcome.OUT_OF_MEMORY, Outcome.COMPLETE}
    assert outcomes[-1] is Outcome.COMPLETE


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_states_that_go_to_disk_change_nothing(toy, tmp_path, memory, workers):
    found = toy("B").explore(directory=tmp_path, spill_bytes=memory, workers=workers)
    assert (found.outcome, numbers(found)) == (Outcome.COMPLETE, numbers(toy("B").explore()))
    assert found.spilled_bytes > 1 << 20
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding[1])
def test_states_that_go_to_disk_hide_no_finding(toy, tmp_path, finding):
    configuration, plant, outcome, failure = finding
    planted = toy(configuration, plant)
    found = planted.explore(directory=tmp_path, spill_bytes=1)
    check_finding(planted, found, outcome, failure)
    assert len(found.schedule) == len(planted.explore().schedule)


def test_disk_takes_the_place_of_memory(toy, tmp_path):
    limits = {"budget": Budget(bytes=94 << 20)}
    assert toy("C", padding=40).explore(**limits).outcome is Outcome.OUT_OF_MEMORY
    found = toy("C", padding=40).explore(**limits, directory=tmp_path, spill_bytes=2 << 20)
    assert (found.outcome, numbers(found)) == (Outcome.COMPLETE, (3_320_344, 7_471_742, 44, 32_366))


@contextmanager
def largest_file(size):
    """As a full disk: a write beyond fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("size", [0, 100, 8192, 100_000, 700_000])
def test_a_full_disk_ends_the_run(toy, tmp_path, size, workers):
    with largest_file(size):
        found = toy("B").explore(directory=tmp_path, spill_bytes=1, workers=workers)
    assert found.outcome is Outcome.OUT_OF_DISK
    assert 0 < found.states < 276_670


def test_a_full_disk_hides_no_finding_of_the_level(toy, tmp_path):
    """Both ends of the run are possible; a pass is not."""
    planted = toy("A", "blind leaf")
    ends = set()
    for size in range(0, 600_000, 8192):
        with largest_file(size):
            ends.add(planted.explore(directory=tmp_path, spill_bytes=1).outcome)
    assert ends == {Outcome.OUT_OF_DISK, Outcome.VIOLATED}


def test_a_directory_that_cannot_be_used_is_named(toy, tmp_path):
    with pytest.raises(UserError, match="nowhere: No such file"):
        toy("A").explore(directory=tmp_path / "nowhere")


def test_a_run_may_end_while_workers_wait_for_a_larger_table(toy):
    """The table grows at 57,344 states: some workers stand in the middle of a batch when the others give up."""
    for states in range(54_000, 57_400, 50):
        found = toy("B").explore(budget=Budget(states=states), workers=5)
        assert found.outcome is Outcome.OUT_OF_STATES


def test_a_depth_limit_judges_schedules_of_that_many_steps(toy):
    planted = toy("A", "blind leaf")
    assert planted.explore(max_depth=27).outcome is Outcome.DEPTH_REACHED
    assert planted.explore(max_depth=28).outcome is Outcome.VIOLATED
    assert toy("A").explore(max_depth=32).outcome is Outcome.DEPTH_REACHED
    assert numbers(toy("A").explore(max_depth=33)) == numbers(toy("A").explore())


def test_a_deadlock_at_the_depth_limit_is_found(toy):
    planted = toy("B", "kept lock")
    nearest = len(planted.explore().schedule)
    assert planted.explore(max_depth=nearest - 1).outcome is Outcome.DEPTH_REACHED
    assert planted.explore(max_depth=nearest).outcome is Outcome.DEADLOCK


# -- The caller --


def test_an_interrupt_stops_the_run(toy):
    def interrupt(progress):
        raise KeyboardInterrupt

    found = toy("D").explore(progress=interrupt)
    assert found.outcome is Outcome.STOPPED
    assert found.states > 0


def test_an_error_of_the_caller_stops_the_run(toy):
    def fail(progress):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        toy("D").explore(progress=fail)


def test_progress_is_told(toy):
    told = []
    found = toy("A").explore(progress=told.append)
    assert all(isinstance(progress, Progress) for progress in told)
    assert (told[-1].states, told[-1].transitions, told[-1].frontier) == (found.states, found.transitions, 0)
    assert told[-1].bytes == 0, "all memory was given back"


@pytest.mark.parametrize(
    ("initial", "threads", "workers", "complaint"),
    [(b"short", 2, 1, "5 bytes"), (None, 3, 1, "room for 1 to 2"), (None, 0, 1, "0 threads"), (None, 2, 0, "0 workers")],
)
def test_refuses_what_does_not_fit_the_model(toy, initial, threads, workers, complaint):
    with pytest.raises(ValueError, match=complaint):
        explore(toy("A").library, initial or toy("A").initial, threads, workers=workers)


# -- Fingerprints --


def words(number, seed=0):
    """splitmix64."""
    for _ in range(number):
        seed = (seed + 0x9E3779B97F4A7C15) % 2**64
        word = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
        yield word ^ word >> 31


def fingerprint(state):
    """As fingerprints.c defines it."""
    key = list(words(3 * (len(state) // 8)))
    total = sum(
        int.from_bytes(state[8 * i : 8 * i + 8], "little") * (key[3 * i] << 64 | key[3 * i + 1] | key[3 * i + 2] << 128)
        for i in range(len(state) // 8)
    )
    first, second = total >> 128 & 2**64 - 1, total >> 64 & 2**64 - 1
    for _ in range(2):
        first = (first ^ first >> 32) * 0xD6E8FEB86659FD93 % 2**64
    return first or 1, second or 1


@pytest.mark.parametrize("padding", [0, 8, 56])
def test_a_fingerprint_does_not_depend_on_the_way_to_the_state(toy, padding):
    plain = toy("A", padding=padding)
    chance = random.Random(1)
    print_of = (ctypes.c_uint64 * 2)()
    for _ in range(200):
        before, after = bytearray(chance.randbytes(plain.size)), bytearray(chance.randbytes(plain.size))
        for i in range(0, plain.size, 8):
            if chance.random() < 0.5:
                after[i : i + 8] = before[i : i + 8] = chance.choice([bytes(8), b"\xff" * 8, before[i : i + 8]])
        plain.library.toy_fingerprint(bytes(before), bytes(after), print_of)
        assert tuple(print_of) == fingerprint(bytes(after))


def test_the_table_of_fingerprints_grows_without_losing_any_and_has_at_most_24_bytes_a_state(toy):
    """With the 128-bit fingerprints of a million states; the first table, of 1 MiB, is half empty at first."""
    library, most = toy("A").library, ctypes.c_double()
    assert library.toy_table(1_000_000, ctypes.byref(most)) == 1_000_000
    assert 18 < most.value <= 24
