"""The guide to writing a design: what its samples are said to do, they do; its list of designs is the one there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.result import Verdict
from septum.designs import BUILT_IN

GUIDE = (Path(__file__).parents[2] / "docs" / "designs.md").read_text()
THIRD_TOPUP = "    if error == OK:\n        error = yield from topup_list(m, caches.guest_pair, PAMT_PAGES, Gfp.KERNEL_ACCOUNT)\n"


@pytest.fixture
def guest_pairs(tmp_path):
    """The sample that adds a cache."""
    file = tmp_path / "guest_pairs.py"
    file.write_text(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)[1])
    return file


def test_a_design_with_a_cache_of_its_own_holds(guest_pairs):
    assert all(check(str(guest_pairs), scenario).holds for scenario in ("same_gfn", "punch_hole", "teardown"))


def test_without_its_top_up_the_cache_is_found_empty(guest_pairs):
    source = guest_pairs.read_text()
    assert THIRD_TOPUP in source
    guest_pairs.write_text(source.replace(THIRD_TOPUP, ""))
    result = check(str(guest_pairs), "same_gfn")
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "provision")


def test_the_designs_of_the_guide_are_those_built_in():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", GUIDE, re.MULTILINE)
    assert [name for name, _ in rows] == [design.name for design in BUILT_IN]
    assert all(design.title.startswith(title) for design, (_, title) in zip(BUILT_IN, rows, strict=True))
