"""How much a replay notices: real traces with one event changed, each of which must be reported.

A mutation is found if the first divergence comes at its line, or by the next event on that entry.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from septum.replay.session import Session, Settings
from tests.replay import forms
from tests.replay.mutations import MUTATIONS, Mutation, Trace, mutations
from tests.replay.samples import SAMPLES, lines_of

WANTED = 0.99
LONGEST = 24_000  # lines
IN_A_FORM = 4
SPLITS = 40  # the samples have no more of them


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    return [Trace(name, lines_of(name)[:LONGEST]) for name in SAMPLES]


def first_divergence(lines: list[str]) -> int | None:
    """The index of the line that the replay reports first."""
    found: list[int] = []
    session = Session(Settings(), lambda kind, line, describe: found.append(line))
    session.feed(("\n".join(lines) + "\n").encode())
    session.finish()
    return found[0] - 1 if found else None


def is_found(mutation: Mutation) -> bool:
    reported = first_divergence(mutation.lines)
    return reported is not None and (mutation.limit is None or reported <= mutation.limit)


def rates(traces: list[Trace], count: int, seed: int) -> dict[str, tuple[int, int]]:
    """Found and made, for each kind of mutation."""
    rng = random.Random(seed)
    found = {}
    for kind in MUTATIONS:
        results = [is_found(mutation) for _, mutation in mutations(traces, kind, count, rng)]
        found[kind] = (sum(results), len(results))
    return found


def check(found: dict[str, tuple[int, int]], wanted: int) -> None:
    total, made = (sum(numbers[i] for numbers in found.values()) for i in (0, 1))
    table = "\n".join(f"{kind}: {numbers[0]} of {numbers[1]}" for kind, numbers in found.items())
    print(f"{table}\nin all {total} of {made}, {100 * total / made:.2f} %")
    assert all(numbers[1] >= min(wanted, SPLITS) for numbers in found.values()), table
    assert total > WANTED * made, table


def test_the_originals_diverge_nowhere(traces):
    for trace in traces:
        assert first_divergence(trace.lines) is None, trace.name


def test_over_99_percent_of_mutations_are_found(traces):
    check(rates(traces, 15, seed=7), 15)


@dataclass(frozen=True)
class Form:
    """Another text of the same events. `lost`: a loss is told at a quarter, of a CPU that had no event before."""

    name: str
    write: Callable[[str], str]
    lost: bool = False
    twice: bool = True  # whether a line that comes twice counts twice: perf prints samples twice

    def trace(self, name: str) -> Trace:
        """A sample; after a loss only what was seen again is known."""
        trace = Trace(name, lines_of(name)[: LONGER if self.lost else SHORTER])
        if self.lost:
            begin, seen, known = len(trace.lines) // 4, set(), []
            for number in trace.changed:
                if number > begin and trace.changes[number].entry in seen:
                    known.append(number)
                if number > begin:
                    seen.add(trace.changes[number].entry)
            trace.changed = known
        return trace

    def first_divergence(self, lines: list[str]) -> int | None:
        """The index, in tracefs' lines, of the event that the replay reports first."""
        begin = len(lines) // 4
        marked = [*lines[:begin], "CPU:7 [LOST 3 EVENTS]", *lines[begin:]] if self.lost else lines
        text = self.write("\n".join(marked) + "\n").splitlines()
        reported = first_divergence(text)
        if reported is None:
            return None
        before = sum(1 for line in text[:reported] if EVENT.search(line))
        return [number for number, line in enumerate(lines) if EVENT.search(line)][before]


EVENT = re.compile(r"\d: (?:\(\+\d+\) +)?(?:kvm\w*:)?(?:kvm_\w+|fast_page_fault): ")
SHORTER, LONGER = 3000, 9000
PIECES = ("6.1-dirty-lazy", "6.12-dirty-1g", "6.12-race-exits")  # they record what the rules need
FORMS = (
    Form("trace-cmd", forms.trace_cmd_without_plugins), Form("trace-cmd -R", forms.raw), Form("trace-cmd -l", forms.latency),
    Form("trace-cmd, another clock", forms.boot_clock), Form("trace-cmd --ts-diff", forms.differences),
    Form("tracefs with stacks", forms.with_stacks), Form("tracefs with losses", str, lost=True),
    Form("perf with call chains", forms.perf_script_with_chains, twice=False),
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_in_every_form_over_99_percent_of_mutations_are_found(form):
    traces = [form.trace(name) for name in PIECES]
    rng = random.Random(3)
    found, missed = 0, []
    for kind in MUTATIONS:
        if kind == "a doubled change" and not form.twice:
            continue
        for trace, mutation in mutations(traces[: 2 if form.lost else 3], kind, IN_A_FORM, rng):
            if mutation.limit is None or (form.lost and mutation.first <= len(trace.lines) // 4):
                continue  # the piece ends before anybody could notice, or nothing was known yet
            at = form.first_divergence(mutation.lines)
            if at is not None and at <= mutation.limit:
                found += 1
            else:
                missed.append((kind, trace.name, mutation.first, at))
    assert [trace.name for trace in traces if form.first_divergence(trace.lines) is not None] == []
    assert found > 15
    assert found > WANTED * (found + len(missed)), missed


@pytest.mark.slow
def test_over_99_percent_of_many_mutations_are_found(traces):
    check(rates(traces, 50, seed=11), 50)
