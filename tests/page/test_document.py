"""What the page is handed."""

from __future__ import annotations

import json
from dataclasses import replace

from septum.check.result import Result
from septum.lang import Model
from septum.page.document import as_text, document
from tests.report.samples import ALL, VIOLATED


def test_a_row_for_each_result_and_a_finding_for_each_place_that_fails() -> None:
    made = document([*ALL, replace(VIOLATED, scenario="another")], {})
    assert [row["verdict"] for row in made["results"]][:2] == ["holds", "violated"]
    [one] = made["findings"]
    assert (one["scenario"], one["again"][0]["scenario"]) == ("fault_zap", "another")
    assert one["scenes"] == []


def test_the_document_is_json_that_ends_no_element() -> None:
    text = as_text({"text": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"text": "</script><!-- & \u2028"}


def test_each_state_is_made_of_things_that_are_kept_once(found: Result, pool_model: Model) -> None:
    [one] = document([found], {found.design: pool_model})["findings"]
    assert len(one["scenes"]) == len(one["steps"]) + 1
    kept = [json.dumps(thing, sort_keys=True) for thing in one["things"]]
    assert len(kept) == len(set(kept))
    numbers = {number for scene in one["scenes"] for of in scene.values() if isinstance(of, list) for number in of}
    assert numbers == set(range(len(kept)))


def test_a_step_says_what_it_entered_read_and_changed(found: Result) -> None:
    [one] = document([found], {})["findings"]
    first, _, third, _ = one["steps"]
    assert first["entered"] == ((0, "take()"),)
    assert first["reads"] == (("nobjs", "2"),)
    assert third["changes"] == (("nobjs", "2", "1"), ("taken[1]", "0", "1"))
    assert all(step["needed"] for step in one["steps"])
