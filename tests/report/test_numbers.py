"""Durations, sizes and ranges."""

from __future__ import annotations

import pytest

from septum.report.numbers import duration, memory, ranges


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0.00 s"), (0.044, "0.04 s"), (12.34, "12.3 s"), (99.9, "99.9 s"), (125, "2 min 5 s")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (4 << 30, "4.0 GiB"), (3 << 40, "3.0 TiB")])
def test_memory(count: int, text: str) -> None:
    assert memory(count) == text


@pytest.mark.parametrize(("numbers", "text"), [([], ""), ([4], "4"), ([5, 3, 4, 9], "3-5, 9"), ([1, 3], "1, 3")])
def test_ranges(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text
