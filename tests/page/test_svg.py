"""A race as a picture."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from septum.check.result import Result
from septum.page.svg import MOST, svg
from tests.page.conftest import MARKUP
from tests.report.samples import FOUND, VIOLATED, three_threads

SVG = "{http://www.w3.org/2000/svg}"


def read(result: Result) -> tuple[list[str], list[ElementTree.Element]]:
    """The texts of a picture, which is XML, and its boxes."""
    root = ElementTree.fromstring(svg(result))
    return [of.text or "" for of in root.iter(f"{SVG}text")], [
        of for of in root.iter(f"{SVG}rect") if "box" in of.get("class", "")
    ]


def test_a_box_for_each_step_below_the_name_of_its_thread(found: Result) -> None:
    texts, boxes = read(found)
    assert f"CPU 0 {MARKUP}" in texts
    assert len(boxes) == 4
    columns = {step.thread: of.get("x") for step, of in zip(found.counterexample.steps, boxes, strict=True)}
    assert [of.get("x") for of in boxes] == [columns[step.thread] for step in found.counterexample.steps]
    assert len(set(columns.values())) == 2
    assert "fails" in boxes[-1].get("class", "")
    assert "taken[1]: 0 -> 1" in texts


def test_every_text_lies_inside_of_the_picture() -> None:
    for result in (VIOLATED, three_threads()):
        root = ElementTree.fromstring(svg(result))
        width, height = (float(root.get(of, "0")) for of in ("width", "height"))
        assert all(0 < float(of.get("y", "0")) < height and 0 < float(of.get("x", "0")) < width for of in root.iter(f"{SVG}text"))


def test_characters_that_xml_has_not_are_replaced() -> None:
    texts, _ = read(replace(VIOLATED, clause="custody: \x00 \ud800 <&>"))
    assert "custody: \ufffd \ufffd <&>" in texts


def test_of_a_long_race_only_what_the_failure_depends_on_is_drawn() -> None:
    steps = [replace(step, needed=number % 8 == 7) for number, step in enumerate(FOUND.steps * MOST)]
    texts, boxes = read(replace(VIOLATED, counterexample=replace(FOUND, steps=tuple(steps))))
    assert len(boxes) == MOST
    assert any("are left out" in text for text in texts)


def test_a_result_without_a_schedule_says_what_is_known() -> None:
    texts, boxes = read(replace(VIOLATED, counterexample=None))
    assert VIOLATED.clause in texts
    assert not boxes
