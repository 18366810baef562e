"""Real traces replay without a divergence, and at the end of a VM nothing is left mapped."""

from __future__ import annotations

import pytest

from septum.replay.replay import replay
from septum.replay.session import Session, Settings
from tests.replay.samples import ALL, SAMPLES, SHARED, file_of, lines_of


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_explained_to_the_end(name):
    result = replay(str(file_of(name)))
    assert result, result.groups
    assert result.leaves == (0, 0, 0)
    assert result.reading.unreadable == result.reading.losses == 0
    assert result.followed + sum(result.reading.unknown.values()) == result.reading.events


@pytest.mark.skipif(not SHARED.is_dir(), reason="the other traces lie beside the checkout, not in it")
@pytest.mark.parametrize("file", ALL, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_every_trace_is_explained_to_the_end(file):
    result = replay(str(file))
    assert result, result.groups
    assert result.leaves == (0, 0, 0)


def test_a_kernel_is_told_by_its_values():
    kernels = {name: replay(str(file_of(name))).kernel for name in SAMPLES}
    assert kernels["6.1-dirty-lazy"] == "5.15 to 6.9"
    assert kernels["6.12-dirty-1g"] == "6.10 to 7.1"
    assert kernels["7.3-dirty-eager"] == "7.2 or newer"


def test_memory_follows_the_tables_and_not_the_length():
    lines = [line for line in lines_of("6.12-race-exits") if not line.startswith("#")]
    session = Session(Settings(), lambda kind, line, describe: pytest.fail(str(kind)))
    for number in range(6):
        text = "\n".join(line.replace("     38.", f"     {number + 1}38.") for line in lines)
        session.feed(f"{text}\n".encode())
    session.finish()
    assert int(session.m.tables) <= 6  # the roots, which no event frees
    assert int(session.m.used) < 30
    assert session.state.followed == 6 * len(lines)
