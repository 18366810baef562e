"""Threads whose programs are equal up to the names of vCPUs, VMs and the like are alike, unless something tells them apart."""

from __future__ import annotations

import itertools

import pytest

from septum.explore.build import build
from septum.explore.explore import explore
from septum.lang import (
    Index,
    Model,
    Property,
    Scenario,
    SetOf,
    Size,
    Struct,
    UserError,
    call,
    current,
    each,
    only,
    process,
    u8,
)
from septum.lang.types import scope
from septum.reduce import automorphism

CPUS = Size("CPUS", 4)
Cpu = Index("Cpu", CPUS)
Cpus = SetOf(Cpu)
Vcpu = Index("Vcpu", 5, none=True)
Gfn = Index("Gfn", 4)
Pfn = Index("Pfn", 8, none=True, scalarset=True, first=5)


class Owner(Struct):
    n: u8
    page: Pfn
    mine: u8[Gfn]


class World(Struct):
    own: u8[Cpu]
    holders: Cpus
    vcpu: Owner[Vcpu]
    chief: Vcpu
    mapped: Pfn[Gfn]
    content: u8[Pfn]
    n: u8


def me():
    return Cpu(current())


@process
def work(w: World, vcpu: Vcpu, gfn: Gfn):
    """Touches only what belongs to its own thread, vCPU and GFN, by name."""
    yield
    w.own[me()] += 1
    w.holders |= only(me())
    yield
    w.vcpu[vcpu].mine[gfn] += 1
    w.mapped[gfn] = w.vcpu[vcpu].page
    yield
    w.content[w.mapped[gfn]] = 1
    w.holders ^= only(me())


class Counter(Struct):
    n: u8


@process
def count(c: Counter):
    yield
    c.n += 1
    yield


@process
def by_reference(w: World, vcpu: Vcpu, gfn: Gfn):
    mine = w.vcpu[vcpu].mine
    yield
    mine[gfn] += 1


@process
def by_number(w: World, vcpu: Vcpu, gfn: Gfn):
    yield
    w.n = u8(current())


@process
def in_order(w: World, vcpu: Vcpu, gfn: Gfn):
    yield
    for other in each(Vcpu):
        if w.vcpu[other].n == 0:
            w.chief = other


@process
def ordered(w: World, vcpu: Vcpu, gfn: Gfn):
    yield
    if gfn < Gfn(2):
        w.n += 1


@process
def named(w: World, vcpu: Vcpu, gfn: Gfn):
    yield
    if w.mapped[gfn] == 1:
        w.n += 1


def symmetries(*calls, start=lambda w: None, properties=(), daemons=(), sizes=None):
    """The automorphisms of threads that make a call each: the build, and what was found."""

    def begin(setup):
        start(setup.m)
        for number, (of, *arguments) in enumerate(calls):
            setup.thread(f"T{number}", call(of, *arguments), daemon=number in daemons)

    model = Model("m", World, (Scenario("s", "", begin, bindings=sizes or {}),), properties)
    built = build(model, model.scenarios[0])
    with scope(built.bindings):
        return built, built.automorphisms()


def alike(*calls, **more):
    return symmetries(*calls, **more)[1].alike()


def test_threads_with_vcpus_of_their_own_are_alike():
    assert alike((work, 1, 0), (work, 2, 0), (work, 4, 0)) == [(0, 1, 2)]


def test_with_them_gfns_are_exchanged_where_nothing_calculates_with_them():
    found = symmetries((work, 1, 0), (work, 2, 3))[1]
    assert found.alike() == [(0, 1)]
    assert found.all[-1].numbers[Gfn] in ((3, 1, 2, 0), (3, 2, 1, 0))


def test_two_threads_of_one_vcpu_and_one_of_another_are_not_all_alike():
    assert alike((work, 1, 0), (work, 1, 0), (work, 2, 0)) == [(0, 1)]


@pytest.mark.parametrize("of", [by_number, in_order], ids=lambda of: of.__name__)
def test_what_tells_threads_or_vcpus_apart_makes_them_different(of):
    assert alike((of, 1, 0), (of, 2, 0)) == []


def test_a_reference_to_an_array_is_one_to_its_first_element():
    """So what the array is indexed by keeps its order, while the vCPU that has it may be exchanged."""
    assert alike((by_reference, 1, 0), (by_reference, 2, 0)) == [(0, 1)]
    assert alike((by_reference, 1, 0), (by_reference, 2, 1)) == []


def test_a_large_world_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(automorphism, "LARGEST_WORLD", 8)
    assert alike((work, 1, 0), (work, 2, 0)) == []


def test_threads_of_a_model_without_index_types_are_alike():
    model = Model("counter", Counter, (Scenario("s", "", lambda s: [s.thread(name, call(count)) for name in "AB"] and None),))
    built = build(model, model.scenarios[0])
    with scope(built.bindings):
        library = built.reducible()
        found = explore(library, built.initial, 2)
    assert (built.automorphisms().alike(), found.states) == ([(0, 1)], 10)


def test_what_tells_gfns_apart_matters_to_those_who_have_different_ones():
    assert alike((ordered, 1, 0), (ordered, 2, 0)) == [(0, 1)]
    assert alike((ordered, 1, 0), (ordered, 2, 1)) == []


def test_another_program_or_a_daemon_is_another_thread():
    assert alike((work, 1, 0), (by_number, 2, 0)) == []
    assert alike((work, 1, 0), (work, 2, 0), daemons=(1,)) == []


def test_a_property_that_names_a_vcpu_tells_them_apart():
    def first_is_idle(w: World):
        assert w.vcpu[1].n == 0

    assert alike((work, 1, 0), (work, 2, 0), properties=(Property("idle", "", first_is_idle),)) == []


def test_what_the_first_state_says_of_one_alone_tells_them_apart():
    def chief(w):
        w.chief = 1

    assert alike((work, 1, 0), (work, 2, 0), start=chief) == []


def pages(w, first, second):
    w.vcpu[1].page, w.vcpu[2].page = first, second


def test_pages_with_a_name_are_exchanged_with_those_who_own_them():
    found = symmetries((work, 1, 0), (work, 2, 0), start=lambda w: pages(w, 1, 3))[1]
    assert found.all[-1].numbers[Pfn][:5] == (0, 3, 2, 1, 4)


def test_unless_the_code_names_one_of_them():
    assert alike((named, 1, 0), (named, 2, 0), start=lambda w: pages(w, 1, 3)) == []
    assert alike((named, 1, 0), (named, 2, 0), start=lambda w: pages(w, 3, 3)) == [(0, 1)]


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_states_that_differ_in_names_are_one(threads):
    built, _ = symmetries(*((work, number + 1, number) for number in range(threads)))
    with scope(built.bindings):
        library = built.reducible()
        whole, reduced = (explore(library, built.initial, threads, symmetry=symmetry) for symmetry in (False, True))
    positions = 5  # of a thread: at its start, at three yields, at its end
    assert whole.states == positions**threads
    assert reduced.states == len(list(itertools.combinations_with_replacement(range(positions), threads)))


@pytest.mark.parametrize(("threads", "images"), [(4, 24), (6, 120)])
def test_of_many_threads_that_are_alike_a_few_are_exchanged(threads, images):
    found = symmetries(*((work, 1, 0) for _ in range(threads)), sizes={CPUS: 8})[1]
    assert len(found.all) == images


def test_a_set_of_pages_of_a_scalarset_is_refused():
    with pytest.raises(UserError, match="array of bool"):
        SetOf(Pfn).limit  # noqa: B018


def test_a_set_of_too_many_values_is_refused():
    with pytest.raises(UserError, match="64 have room"):
        SetOf(Index("Page", 100)).limit  # noqa: B018
