"""How much a replay notices: real traces with one event changed, each of which must be reported.

A mutation is found if the first divergence comes at its line, or by the next event on that entry.
"""

from __future__ import annotations

import random

import pytest

from septum.replay.session import Session, Settings
from tests.replay.mutations import MUTATIONS, Mutation, Trace, mutations
from tests.replay.samples import SAMPLES, lines_of

WANTED = 0.99
LONGEST = 24_000  # lines
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


@pytest.mark.slow
def test_over_99_percent_of_many_mutations_are_found(traces):
    check(rates(traces, 50, seed=11), 50)
