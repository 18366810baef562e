"""The first event that no step explains, and what is told about it; with keep-going all of them, grouped."""

from __future__ import annotations

import re

import pytest

from septum.replay.result import Group, Verdict
from tests.replay.samples import SMALL, lines_of, replayed

LINES = lines_of(SMALL)


def at(pattern: str, number: int = 0) -> int:
    return [i for i, line in enumerate(LINES) if re.search(pattern, line)][number]


def first(tmp_path, lines: list[str]) -> Group:
    result = replayed(tmp_path, "\n".join(lines) + "\n")
    assert result.verdict is Verdict.DIVERGED
    return result.groups[0]


def changed(where: int, pattern: str, other: str) -> list[str]:
    return [*LINES[:where], re.sub(pattern, other, LINES[where]), *LINES[where + 1 :]]


MAPPED = at(r"spte_changed.* level 1 old_spte 8000000000000000 new_spte \w+7$", 40)


def test_a_page_that_the_fault_did_not_ask_for(tmp_path):
    found = first(tmp_path, changed(MAPPED, r"new_spte (\w)", r"new_spte 7\1")).first
    assert found.at.number == MAPPED + 1
    assert found.at.text.strip().endswith(re.sub(r".*new_spte ", "new_spte 7", LINES[MAPPED]))
    assert (found.step, found.guard) == ("map a page", "the fault asked for another PFN")
    assert found.level == 1
    assert found.holds == "non-present"


def test_the_path_leads_from_the_root_to_the_entry(tmp_path):
    found = first(tmp_path, changed(MAPPED, r"new_spte (\w)", r"new_spte 7\1")).first
    assert [place.level for place in found.path] == [4, 3, 2, 1]
    assert all("table" in place.word for place in found.path[:-1])
    assert found.path[-1].gfn == found.gfn


def test_every_other_step_has_a_guard_that_failed(tmp_path):
    found = first(tmp_path, changed(MAPPED, r"new_spte (\w)", r"new_spte 7\1")).first
    others = dict(found.alternatives)
    assert others["zap a page"] == "no step leads away from such an old value"
    assert others["link a table"] == "no step leads to such a new value"
    assert "possible" not in others.values()
    assert len(others) == 11


def test_the_events_before_are_about_the_same_gfn(tmp_path):
    found = first(tmp_path, changed(MAPPED, r"new_spte (\w)", r"new_spte 7\1")).first
    gfn = re.search(r"gfn (\w+)", LINES[MAPPED])[1]
    assert any(f"gfn {gfn} " in line.text for line in found.before)
    assert [line.number for line in found.before] == sorted(line.number for line in found.before)
    assert all(line.text.strip() == LINES[line.number - 1].strip() for line in found.before)


def test_what_was_explained_before_is_counted(tmp_path):
    found = first(tmp_path, changed(MAPPED, r"new_spte (\w)", r"new_spte 7\1")).first
    events = sum(not line.startswith("#") for line in LINES[:MAPPED])
    assert found.explained == events


@pytest.mark.parametrize(
    ("pattern", "other", "guard"),
    [
        (r"gfn (\w+)\w level 1", r"gfn \g<1>f level 1", "the thread handles a fault of another GFN"),
        (r"gfn (\w+)\w level 1", r"gfn \g<1>1 level 2", "the GFN is not aligned to the level"),
        (r"level 1", "level 2", "the entry holds another value"),
        (r"old_spte \w+", "old_spte 8000000000000001", "the entry holds another value"),
        (r"new_spte .*", "new_spte 8000000000000000", "old and new value are the same"),
        (r"new_spte (\w+)7$", r"new_spte \g<1>6", "the new value is no SPTE of this format"),
        (r"as id 0", "as id 1", "there is no table for this entry"),
    ],
)
def test_the_guard_says_what_is_wrong(pattern, other, guard, tmp_path):
    found = first(tmp_path, changed(MAPPED, pattern, other)).first
    assert (found.at.number, found.guard) == (MAPPED + 1, guard)


def test_keep_going_lists_all_and_groups_what_is_alike(tmp_path):
    lines = list(LINES)
    places = [at(r"spte_changed.* level 1 old_spte 8000000000000000 new_spte \w+7$", n) for n in (40, 60, 80)]
    for where in places:
        lines[where] = re.sub(r"new_spte (\w)", r"new_spte 7\1", lines[where])
    text = "\n".join(lines) + "\n"
    result = replayed(tmp_path, text, keep_going=True)
    group = next(one for one in result.groups if one.first.guard == "the fault asked for another PFN")
    assert group.lines == tuple(where + 1 for where in places)
    assert result.followed + sum(one.count for one in result.groups) == sum(not line.startswith("#") for line in lines)
    assert len(replayed(tmp_path, text).groups) == 1
