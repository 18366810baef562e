"""The states of a schedule."""

from __future__ import annotations

from pathlib import Path

from septum.check.explain import schedule_of
from septum.check.loading import load
from septum.check.result import Result
from septum.explore.build import build
from septum.host.frames import Role
from septum.lang import Model
from septum.lang.engine import Status
from septum.lang.types import scope
from septum.page.scene import scenes


def test_there_is_a_state_before_the_first_step_and_after_each(pool_model: Model, found: Result) -> None:
    drawn = scenes(*schedule_of(pool_model, found.counterexample.token))
    assert len(drawn) == len(found.counterexample.steps) + 1
    assert [dict(scene.fields[0].cells)[""] for scene in drawn] == ["2", "2", "2", "1", "1"]
    assert drawn[-1].threads == found.counterexample.threads


def test_of_a_model_of_ones_own_nothing_of_kvm_is_drawn(pool_model: Model, found: Result) -> None:
    last = scenes(*schedule_of(pool_model, found.counterexample.token))[-1]
    assert not (last.trees or last.frames or last.ranges or last.pools)
    assert [lock.place for lock in last.locks] == ["lock"]


def test_a_lock_says_who_holds_it_and_who_waits() -> None:
    model = load("dpamt_merged")
    built = build(model, next(one for one in model.scenarios if one.name == "punch_hole"))
    with scope(built.bindings):
        engine, schedule = built.engine(), list[tuple[int, int]]()
        for thread, until in ((0, lambda: engine.m.vm[1].mmu_lock.readers), (1, lambda: not engine.can_step(1))):
            while not until() and engine.can_step(thread):
                engine.step(thread)
                schedule.append((thread, 0))
    lock = next(one for one in scenes(built, schedule)[-1].locks if one.place == "vm[1].mmu_lock")
    assert (lock.writer, lock.readers, lock.waits) == ((), ("vCPU 0",), ("punch hole",))


def test_stores_that_wait_are_shown_until_the_memory_takes_them(buffered: Result) -> None:
    built, schedule = schedule_of(load(buffered.design), buffered.counterexample.token)
    waiting = [sum(len(one.stores) for one in scene.buffers) for scene in scenes(built, schedule)]
    assert waiting[:5] == [0, 1, 3, 4, 6], "each CPU stores what it wants, then what it saw and that it is done"
    assert waiting[0] == waiting[-1] == 0
    assert any(one.stores == (("wants[0]", "1"),) for scene in scenes(built, schedule) for one in scene.buffers)


def test_without_store_buffers_none_are_shown(pool_model: Model, found: Result) -> None:
    assert not any(scene.buffers for scene in scenes(*schedule_of(pool_model, found.counterexample.token)))


def test_a_page_in_hand_is_named_by_the_local_that_has_it() -> None:
    model = load("dpamt_merged")
    built = build(model, next(one for one in model.scenarios if one.name == "same_gfn"))
    with scope(built.bindings):
        engine, steps = built.engine(), 0
        while not any(engine.m.frame[page].role == Role.HAND for page in range(len(engine.m.frame))):
            assert engine.step(0) is Status.DONE
            steps += 1
    frames = [frame for frame in scenes(built, [(0, 0)] * steps)[-1].frames if frame.role == "HAND"]
    assert frames
    assert all("(), vCPU 0" in frame.named[0] for frame in frames)


def test_the_machine_is_drawn_where_a_thread_has_failed(tmp_path: Path) -> None:
    file = tmp_path / "fails.py"
    file.write_text(
        "from septum.kvm.machine import Machine\nfrom septum.lang import Model, Scenario, call, process\n\n"
        '@process\ndef fail(m: Machine):\n    yield\n    assert m.failures != 0, "custody: it fails"\n\n'
        'def start(setup):\n    setup.thread("A", call(fail))\n\n'
        'model = Model("fails", Machine, (Scenario("s", "", start),))\n'
    )
    model = load(str(file))
    last = scenes(build(model, model.scenarios[0]), [(0, 0), (0, 0)])[-1]
    assert [thread.state for thread in last.threads] == ["failed"]
    assert last.free > 0
