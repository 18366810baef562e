"""Changes that are said once for many elements."""

from __future__ import annotations

import pytest

from septum.check.result import Change
from septum.report.changes import shorter


def parsed(text: str) -> Change:
    place, values = text.split(": ", 1)
    old, new = values.split(" -> ")
    return Change(place, old, new)


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ([], []),
        (["a: 0 -> 1"], ["a: 0 -> 1"]),
        (["a: 0 -> 1", "b: 0 -> 1"], ["a: 0 -> 1", "b: 0 -> 1"]),
        (["f[3].role: A -> B", "f[4].role: A -> B", "f[9].role: A -> B"], ["f[3-4,9].role: A -> B"]),
        (["f[3].role: A -> B", "f[4].role: A -> C"], ["f[3-4].role: A -> B, C"]),
        (["f[3].role: A -> B", "f[4].role: D -> C"], ["f[3].role: A -> B", "f[4].role: D -> C"]),
        (["f[3].role: A -> B", "f[5].role: A -> C"], ["f[3].role: A -> B", "f[5].role: A -> C"]),
        ([f"t[{i}].w[{j}]: 0 -> x" for i in (4, 5) for j in (0, 1)], ["t[4-5].w[0-1]: 0 -> x"]),
        (["t[4].w[0]: 0 -> x", "t[5].w[1]: 0 -> x"], ["t[4].w[0]: 0 -> x", "t[5].w[1]: 0 -> x"]),
        (["v[1].p[0]: none -> pfn 4", "v[1].p[1]: none -> pfn 7"], ["v[1].p[0-1]: none -> pfn 4, pfn 7"]),
        (["v[1].p[0]: none -> pfn 4", "v[2].p[0]: none -> pfn 7"], ["v[1].p[0]: none -> pfn 4", "v[2].p[0]: none -> pfn 7"]),
        (["a[0]: 0 -> 1", "n: 0 -> 1", "a[1]: 0 -> 1"], ["a[0-1]: 0 -> 1", "n: 0 -> 1"]),
    ],
)
def test_shorter(long: list[str], short: list[str]) -> None:
    assert shorter([parsed(text) for text in long]) == [parsed(text) for text in short]
