"""KVM's machine, drawn."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from septum.check.loading import load
from septum.explore.build import Build, build
from septum.host.entry import SEPT_FREE, SHADOW_NONPRESENT_VALUE
from septum.host.frames import PageType, Role
from septum.lang.engine import Engine, Status
from septum.lang.types import scope
from septum.page.fields import Fields
from septum.page.machine import Look, Picture, Row
from septum.properties.agreement import agreement


@pytest.fixture(scope="module")
def built() -> Iterator[Build]:
    model = load("dpamt_merged")
    one = build(model, next(one for one in model.scenarios if one.name == "punch_hole"))
    with scope(one.bindings):
        yield one


@pytest.fixture(scope="module")
def picture(built: Build) -> Picture:
    return Picture(Fields(built.model.world, built.translation))


@pytest.fixture
def mapped(built: Build, picture: Picture) -> object:
    """The machine once vCPU 0 has its page."""
    engine = built.engine()
    while not engine.threads[0].ended:
        assert engine.step(0) is Status.DONE
    return picture.fields.view(engine.world())


def rows(picture: Picture, m: object) -> list[Row]:
    [tree] = picture.trees(m)
    return list(tree.rows)


def leaf(picture: Picture, m: object) -> Row:
    return next(row for row in rows(picture, m) if row.level == 1 and row.words[0].look is Look.LEAF)


def test_both_trees_stand_beside_each_other_down_to_the_leaf(picture: Picture, mapped: object) -> None:
    row = leaf(picture, mapped)
    assert [word.look for word in row.words] == [Look.LEAF, Look.LEAF]
    assert row.words[0].text.startswith("leaf pfn")
    assert row.words[1].text.startswith("SEPT MAPPED pfn")
    assert not any(row.unlike for row in rows(picture, mapped))


def test_what_one_tree_has_alone_is_marked(picture: Picture, mapped: object) -> None:
    place = leaf(picture, mapped).words[0].place
    table, i = (int(part.split("]")[0]) for part in place.split("[")[1:])
    mapped.table[table].word[i] = SHADOW_NONPRESENT_VALUE
    assert [row.unlike for row in rows(picture, mapped) if row.unlike] == ["only the Secure EPT has it"]


def test_what_the_secure_ept_lacks_is_marked(picture: Picture, mapped: object) -> None:
    place = leaf(picture, mapped).words[1].place
    table, i = (int(part.split("]")[0]) for part in place.split("[")[1:])
    mapped.table[table].word[i] = SEPT_FREE
    assert [row.unlike for row in rows(picture, mapped) if row.unlike] == ["only the mirror has it"]


def agrees(m: object) -> bool:
    try:
        agreement(m)
    except AssertionError:
        return False
    return True


def states(built: Build, seed: int) -> Iterator[Engine]:
    """Those of a random run."""
    engine, rng = built.engine(), random.Random(seed)
    while able := [number for number in range(len(engine.threads)) if engine.can_step(number)]:
        thread = rng.choice(able)
        engine.step(thread, rng.randrange(engine.choices(thread)))
        yield engine


def test_the_marks_say_what_the_property_agreement_says(built: Build, picture: Picture) -> None:
    compared, rng = 0, random.Random(1)
    for number, engine in enumerate(states(built, 1)):
        m = picture.fields.view(engine.world())
        if m.vm[1].mmu_lock.writer or m.vm[1].bugged or number % 3:
            continue
        found = [row for row in rows(picture, m) if row.words[0] and row.words[0].look is not Look.FROZEN]
        word = rng.choice(rng.choice(found).words) if found else None
        if word and rng.random() < 0.5:  # an entry is lost
            table, i = (int(part.split("]")[0]) for part in word.place.split("[")[1:])
            m.table[table].word[i] = SEPT_FREE if word.text.startswith("SEPT") else SHADOW_NONPRESENT_VALUE
        assert agrees(m) == (not any(row.unlike for row in rows(picture, m)))
        compared += 1
    assert compared > 10


def test_a_page_says_who_has_it_and_who_names_it(picture: Picture, mapped: object) -> None:
    frames = {one.number: one for one in picture.frames(mapped, bytes(memoryview(mapped)), {})}
    guest = next(one for one in frames.values() if one.role == "GUEST")
    assert guest.type == "REG"
    assert any(place.startswith("table[") for place in guest.named)
    assert frames[1].role == "CONTROL"
    assert len(frames) + picture.free(mapped) == len(mapped.frame) - 1
    assert not any(one.wrong for one in frames.values())


def test_a_free_page_that_the_module_has_is_wrong(picture: Picture, mapped: object) -> None:
    page = next(number for number in range(1, len(mapped.frame)) if mapped.frame[number].type == PageType.REG)
    mapped.frame[page].role = Role.FREE
    [wrong] = [one for one in picture.frames(mapped, bytes(memoryview(mapped)), {}) if one.wrong]
    assert (wrong.number, wrong.wrong) == (page, "free, and the module has it")


def test_a_range_has_its_pair_and_both_counts(picture: Picture, mapped: object) -> None:
    found = list(picture.ranges(mapped, bytes(memoryview(mapped))))
    assert all(one.count == one.refcount == len(one.pages) for one in found)
    assert all(one.pair == "PAMT" and len(one.pair_pages) == 2 for one in found)


def test_a_pool_shows_its_slots(picture: Picture, mapped: object) -> None:
    pools = {one.place: one for one in picture.pools(bytes(memoryview(mapped)))}
    pool = pools["vcpu[1].mmu_shadow_page_cache"]
    assert [bool(page) for page in pool.slots] == [n < pool.count for n in range(len(pool.slots))]
    assert pool.content == "NONPRESENT"
