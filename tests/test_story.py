"""The story of the docs: its three files break, or hold, as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.result import Verdict

ROOT = Path(__file__).parents[1]
STORY = ROOT / "examples" / "story"
PAGE = (ROOT / "docs" / "story.md").read_text()

pytestmark = pytest.mark.usefixtures("quickly_compiled")


@pytest.mark.parametrize(
    ("version", "scenario", "property"),
    [("as_posted", "same_gfn", "race"), ("as_posted", "neighbours", "provision"), ("locked", "zero_step", "provision")],
)
def test_a_version_that_is_wrong_breaks(version, scenario, property):
    result = check(str(STORY / f"{version}.py"), scenario)
    assert (result.verdict, result.property) == (Verdict.VIOLATED, property)


def test_the_last_version_holds_in_as_many_states_as_the_page_says():
    result = check(str(STORY / "goes_round.py"), "same_gfn")
    states, transitions, depth = re.search(r"^same_gfn +holds +([\d,]+) +([\d,]+) +(\d+)$", PAGE, re.MULTILINE).groups()
    assert result.holds
    assert (f"{result.states:,}", f"{result.transitions:,}", str(result.depth)) == (states, transitions, depth)


def test_what_the_page_shows_of_a_version_stands_there():
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        name = "as_posted" if "PairList" in block else "goes_round"
        assert block.split('"""')[0].strip() in re.sub(r'    """.*"""\n\n', "", (STORY / f"{name}.py").read_text())
