"""A slice has what the failed clause reads and whatever that came from, and nothing else."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from septum.check.check import check
from septum.check.loading import load
from septum.check.result import Step
from septum.check.trace import trace
from septum.explore.build import build
from septum.lang.types import scope

FIELDS, LOCALS, THREADS = ("p", "q", "r"), ("a", "b"), 2
HEAD = '''"""A model."""
from septum.lang import Enum, Index, Model, Property, Scenario, Size, Struct, boolean, call, choose, each, process, u8, u64, when
'''


@dataclass(frozen=True)
class Line:
    """`target = sources + constant`; a field has one letter of p, q, r, a local one of a, b."""

    target: str
    sources: tuple[str, ...]
    constant: int

    def text(self) -> str:
        return f"{named(self.target)} = u64({' + '.join([*map(named, self.sources), str(self.constant)])})"


def named(name: str) -> str:
    return f"m.{name}" if name in FIELDS else name


lines = st.builds(
    Line,
    st.sampled_from(FIELDS + LOCALS),
    st.lists(st.sampled_from(FIELDS + LOCALS), max_size=2).map(tuple),
    st.integers(0, 3),
)
programs = st.lists(st.lists(lines, min_size=1, max_size=6), min_size=THREADS, max_size=THREADS)


def text_of(program: list[list[Line]]) -> str:
    """Each line is a step; the last of thread 0 reads p and a, and fails."""
    body = [HEAD, "class World(Struct):", *(f"    {name}: u64" for name in FIELDS), ""]
    for number, of in enumerate(program):
        body += ["@process", f"def run{number}(m: World):", *(f"    {name}: u64 = 0" for name in LOCALS)]
        body += [text for line in of for text in ("    yield", f"    {line.text()}")]
        body += ["    yield", "    assert m.p + a > 1 << 60, 'custody: never so'"] if number == 0 else []
    threads = [f"    setup.thread('T{number}', call(run{number}))" for number in range(THREADS)]
    body += ["def start(setup):", *threads]
    body += ["model = Model('random', World, (Scenario('s', 't', start, ()),), (Property('custody', 'c'),))"]
    return "\n".join(body) + "\n"


def interleaved(program: list[list[Line]], dice: Any) -> list[tuple[int, int]]:
    """(thread, line) in a random order in which thread 0 ends last; a line -1 is the first step, which runs up to a yield."""
    left = [list(range(-1, len(of))) for of in program]
    order = []
    while any(left):
        thread = dice.choice([number for number, lines in enumerate(left) if lines])
        order.append((thread, left[thread].pop(0)))
    return [*order, (0, len(program[0]))]


def expected(program: list[list[Line]], order: list[tuple[int, int]]) -> set[int]:
    """The steps of the slice, by the definition: those that wrote what matters, and those that read what somebody writes."""
    written = {line.target for of in program for line in of if line.target in FIELDS}
    last: dict[Any, int] = {}
    came: dict[int, list[Any]] = {}
    for number, (thread, at) in enumerate(order):
        if 0 <= at < len(program[thread]):
            line = program[thread][at]
            came[number] = [last.get(key(thread, name)) for name in line.sources]
            last[key(thread, line.target)] = number
    end = len(order) - 1
    came[end] = [last.get(key(0, "p")), last.get(key(0, "a"))]
    reached, waiting = {end}, [one for one in came[end] if one is not None]
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += [cause for cause in came[one] if cause is not None]
    shared = {end} | {n for n in reached - {end} if touches(program[order[n][0]][order[n][1]], written)}
    return shared


def key(thread: int, name: str) -> Any:
    return name if name in FIELDS else (thread, name)


def touches(line: Line, written: set[str]) -> bool:
    return line.target in FIELDS or any(name in written for name in line.sources)


@settings(max_examples=40, deadline=None)
@given(programs, st.randoms(use_true_random=False))
def test_the_slice_of_a_straight_program_is_what_the_definition_says(program: list[list[Line]], dice: Any) -> None:
    order = interleaved(program, dice)
    steps = replayed(text_of(program), order)
    assert {number for number, step in enumerate(steps) if step.needed} == expected(program, order)


@settings(max_examples=20, deadline=None)
@given(programs, st.randoms(use_true_random=False))
def test_what_the_clause_reads_is_always_there(program: list[list[Line]], dice: Any) -> None:
    order = interleaved(program, dice)
    steps = replayed(text_of(program), order)
    writers = [
        number for number, (thread, at) in enumerate(order) if at in range(len(program[thread])) and writes_p(program, thread, at)
    ]
    for number in writers[-1:]:
        assert steps[number].needed
        assert any(touch.place == "p" and touch.written for touch in steps[number].touches)
        assert any(touch.place == "p" and not touch.written for touch in steps[-1].touches)


def writes_p(program: list[list[Line]], thread: int, at: int) -> bool:
    return program[thread][at].target == "p"


def replayed(text: str, order: list[tuple[int, int]]) -> tuple[Step, ...]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"model{next(NUMBERS)}.py")
        path.write_text(text)
        model = load(str(path))
        built = build(model, model.scenarios[0])
        with scope(built.bindings):
            return trace(built, [(thread, 0) for thread, _ in order]).steps


NUMBERS = itertools.count()


def counterexample(tmp_path: Path, text: str, engine: str = "python", property: str = "") -> tuple[Step, ...]:
    """The steps of the shortest counterexample of a model."""
    path = tmp_path / f"model{next(NUMBERS)}.py"
    path.write_text(HEAD + text)
    found = check(str(path), "s", engine=engine, property=property).counterexample
    assert found is not None
    return found.steps


def needed(tmp_path: Path, text: str, engine: str = "python", property: str = "") -> list[tuple[int, str, list[str]]]:
    """The slice of the counterexample of a model: number, thread and touched places of its steps."""
    return [
        (number, step.thread, [f"{'w' if touch.written else 'r'} {touch.place}" for touch in step.touches])
        for number, step in enumerate(counterexample(tmp_path, text, engine, property), 1)
        if step.needed
    ]


MODEL = "model = Model('x', World, (Scenario('s', 't', start, ()),), (Property('custody', 'c'),))\n"


def test_a_status_that_is_a_constant_comes_from_what_decided_on_it(tmp_path: Path) -> None:
    text = """
class Status(Enum):
    OK = 0
    BUSY = 1

class World(Struct):
    lock: bool
    other: u8

def try_lock(m: World):
    if m.lock:
        return Status.BUSY
    m.lock = True
    return Status.OK

@process
def holder(m: World):
    yield
    m.other = 1
    yield
    m.lock = True

@process
def asks(m: World):
    yield
    status = try_lock(m)
    yield
    assert status == Status.OK, f"custody: {status}"

def start(setup):
    setup.thread("holder", call(holder))
    setup.thread("asks", call(asks))
"""
    found = needed(tmp_path, text + MODEL)
    assert ("holder", ["w lock"]) in [one[1:] for one in found]
    assert ("asks", ["r lock"]) in [one[1:] for one in found]
    assert not any("other" in place for _, _, places in found for place in places)


def test_an_index_that_another_thread_overtook_is_part_of_it(tmp_path: Path) -> None:
    text = """
class World(Struct):
    count: u8
    noise: u8
    pages: u8[4]

@process
def pop(m: World):
    n = m.count
    yield
    m.count = u8(n - 1)
    m.noise = m.noise ^ 1
    page = m.pages[n - 1]
    yield
    assert page != 0, "custody: a page is taken twice"
    m.pages[n - 1] = 0

def start(setup):
    setup.m.count = 2
    setup.m.pages[0] = 8
    setup.m.pages[1] = 9
    for cpu in range(2):
        setup.thread(f"CPU {cpu}", call(pop))
"""
    found = needed(tmp_path, text.replace("    yield\n    assert", "    assert") + MODEL)
    first = [one for one in found if "r count" in one[2]]
    assert {thread for _, thread, _ in first} == {"CPU 0", "CPU 1"}
    assert any("w pages[1]" in places for _, _, places in found)
    assert not any("noise" in place for _, _, places in found for place in places)


def test_what_a_thread_waited_for_is_part_of_it_and_a_lock_that_changed_hands_beside_it_is_not(tmp_path: Path) -> None:
    text = """
from septum.host.cpu import Cpu
from septum.host.geometry import THREADS, ThreadId
from septum.host.locks import SpinLock, spin_lock, spin_unlock

class World(Struct):
    cpu: Cpu[ThreadId]
    guard: SpinLock
    other: SpinLock
    n: u8
    done: bool

@process
def first(m: World):
    yield from spin_lock(m, m.other)
    spin_unlock(m, m.other)
    yield from spin_lock(m, m.guard)
    m.n = 5
    yield
    spin_unlock(m, m.guard)
    m.done = True

@process
def second(m: World):
    yield when(lambda: m.done)
    yield from spin_lock(m, m.other)
    spin_unlock(m, m.other)
    yield from spin_lock(m, m.guard)
    assert m.n == 0, "custody: n"
    spin_unlock(m, m.guard)

def start(setup):
    setup.thread("first", call(first))
    setup.thread("second", call(second))
"""
    found = needed(tmp_path, text + MODEL.replace("start, ())", "start, (), {THREADS: 2})"))
    places = {place for _, _, some in found for place in some}
    assert {"r n", "w n", "w guard.writer", "r guard.writer"} <= places
    assert not any("other" in place for place in places)


def test_a_deadlock_is_cut_down_to_who_took_what(tmp_path: Path) -> None:
    text = """
class World(Struct):
    busy: u8[2]
    noise: u8

@process
def cross(m: World, a: u8, b: u8):
    m.noise = m.noise ^ 1
    yield
    yield when(lambda: m.busy[a] == 0)
    m.busy[a] = 1
    yield when(lambda: m.busy[b] == 0)
    m.busy[b] = 1
    yield
    m.busy[b] = 0
    yield
    m.busy[a] = 0

def start(setup):
    setup.thread("T0", call(cross, 0, 1))
    setup.thread("T1", call(cross, 1, 0))
"""
    found = needed(tmp_path, text + MODEL)
    assert {place for _, _, some in found for place in some if place.startswith("w")} == {"w busy[0]", "w busy[1]"}
    assert not any("noise" in place for _, _, some in found for place in some)


def test_a_choice_that_a_value_comes_from_is_part_of_it(tmp_path: Path) -> None:
    text = """
class World(Struct):
    n: u8

@process
def draws(m: World):
    other = yield choose(2)
    yield
    x = yield choose(3)
    yield
    m.n = u8(x)
    yield
    assert m.n != 2 or other == 7, "custody: two"

def start(setup):
    setup.thread("T", call(draws))
"""
    steps = counterexample(tmp_path, text + MODEL)
    assert len([step for step in steps if step.needed and step.choice is not None]) == 2
    steps = counterexample(tmp_path, text.replace(" or other == 7", "") + MODEL)
    assert [step.choice for step in steps if step.needed and step.choice is not None] == [2]


def test_a_property_that_counts_depends_on_what_it_counts(tmp_path: Path) -> None:
    text = """
SLOTS = Size("SLOTS", 3)
Slot = Index("Slot", SLOTS)

class World(Struct):
    used: u8[Slot]
    total: u8
    noise: u8

@process
def fills(m: World, slot: Slot):
    yield
    m.noise = 1
    yield
    m.used[slot] = 1

def start(setup):
    setup.thread("T0", call(fills, 0))
    setup.thread("T2", call(fills, 2))

def counted(m: World):
    found = 0
    for slot in each(Slot):
        if m.used[slot] == 1:
            found += 1
    assert found < 2, f"custody: {found} are used"

model = Model('x', World, (Scenario('s', 't', start, ()),), (Property('custody', 'c', counted),))
"""
    found = needed(tmp_path, text)
    assert [places for _, _, places in found] == [["w used[0]"], ["w used[2]"]] or [p for _, _, p in found] == [
        ["w used[2]"],
        ["w used[0]"],
    ]


INDEXED = """
class World(Struct):
    index: u8
    ready: bool
    noise: u8
    marks: u8[3]

@process
def points(m: World):
    yield
    m.noise = 1
    yield
    m.index = 2
    yield
    m.noise = 2
    yield
    m.ready = True

@process
def marks(m: World):
    yield when(lambda: m.ready)
    at = m.index
    yield
    yield
    m.marks[at] += 1

def start(setup):
    setup.thread("points", call(points))
    for cpu in range(2):
        setup.thread(f"CPU {cpu}", call(marks))
"""


def test_a_race_depends_on_what_said_which_place_it_is_and_on_nothing_else(tmp_path: Path) -> None:
    found = needed(tmp_path, INDEXED + MODEL, "c")
    assert {(thread, *places) for _, thread, places in found} == {
        ("points", "w index"),
        ("points", "w ready"),  # without which no index is read
        ("CPU 0", "r ready", "r index"),
        ("CPU 1", "r ready", "r index"),
    }


def test_a_race_depends_on_what_decided_that_it_comes_there_and_on_what_it_waited_for(tmp_path: Path) -> None:
    text = INDEXED.replace(
        "    at = m.index\n    yield\n    yield\n    m.marks[at] += 1", "    if m.index == 2:\n        m.marks[0] += 1"
    )
    assert [one[1:] for one in needed(tmp_path, text + MODEL, "c")] == [("points", ["w index"]), ("points", ["w ready"])]


def test_a_loop_depends_on_what_was_there_when_it_began(tmp_path: Path) -> None:
    text = """
class World(Struct):
    lock: bool
    flag: bool
    noise: u8

@process
def polls(m: World):
    seen: bool = False
    while not seen:
        yield when(lambda: not m.lock)
        m.lock = True
        yield
        seen = m.flag
        m.lock = False

@process
def spoils(m: World):
    yield
    m.flag = False
    yield
    m.noise = 1

def start(setup):
    setup.m.flag = True
    setup.thread("polls", call(polls))
    setup.thread("spoils", call(spoils))
"""
    steps = counterexample(tmp_path, text + MODEL, "c", "progress")
    found = [(step.thread, {touch.place for touch in step.touches}) for step in steps if step.needed]
    assert ("spoils", {"flag"}) in found
    assert ("polls", {"lock"}) in found and ("polls", {"flag", "lock"}) in found
    assert not any("noise" in places for _, places in found)
    assert len(found) < len(steps)


def test_a_stuck_thread_depends_on_what_it_waits_for_and_not_on_those_that_go_on(tmp_path: Path) -> None:
    text = """
class World(Struct):
    locks: boolean[2]
    clock: u8
    quiet: bool

@process
def ticks(m: World):
    while True:
        yield when(lambda: not m.quiet)
        m.clock = m.clock ^ 1
        m.quiet = True
        yield
        m.quiet = False

@process
def takes_twice(m: World):
    yield when(lambda: not m.locks[0])
    m.locks[0] = True
    yield when(lambda: not m.locks[0])
    m.locks[1] = True

def start(setup):
    setup.thread("ticks", call(ticks), daemon=True)
    setup.thread("takes", call(takes_twice))
"""
    asks_a_routine = (
        text.replace("not m.locks[0])", "free(m))")
        + """
def free(m):
    if m.locks[0]:
        return False
    return True
"""
    )
    for one in (text, asks_a_routine):
        places = {place for _, _, some in needed(tmp_path, one + MODEL, "c") for place in some}
        assert {"w locks[0]"} <= places <= {"w locks[0]", "r locks[0]"}


def test_a_long_counterexample_of_a_design_is_cut_to_a_few_steps_and_each_says_why() -> None:
    found = check("dpamt_v4_as_posted", "split_two_tds").counterexample
    assert found is not None
    assert 1 < sum(step.needed for step in found.steps) < len(found.steps) * 2 / 5
    assert all(step.touches or step.choice is not None for step in found.steps[:-1] if step.needed)
