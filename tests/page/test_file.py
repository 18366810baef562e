"""A page in one file, and in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from septum.check.result import Result
from septum.cli import main
from septum.lang import Model
from septum.page.document import document
from septum.page.file import page, write
from septum.report.terminal import render
from tests.page.conftest import MARKUP


@pytest.fixture(scope="module")
def text(found: Result, pool_model: Model) -> str:
    return page(f"check {MARKUP}", document([found], {found.design: pool_model}), render([found]))


class Parsed(HTMLParser):
    """The elements of a page, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts.append(data)


def test_no_text_of_a_result_becomes_markup(text: str) -> None:
    tags = [tag for tag, _ in Parsed(text).tags]
    assert tags.count("script") == 2
    assert set(tags) <= {"html", "head", "meta", "title", "style", "body", "noscript", "pre", "script"}


def test_the_page_has_all_that_it_needs_in_it(text: str) -> None:
    parsed = Parsed(text)
    assert not [attributes for _, attributes in parsed.tags if {"src", "href"} & attributes.keys()]
    assert not re.search(r"https?://|url\(|@import|fetch\(", "".join(text.split("<style>")[1].split("</style>")[:1]))
    assert "default-src &#x27;none&#x27;" in text


def test_the_document_in_the_page_is_that_of_the_results(text: str, found: Result) -> None:
    given = json.loads(Parsed(text).scripts[0])
    assert given["findings"][0]["clause"] == found.clause
    assert MARKUP in found.clause


def test_a_page_that_cannot_be_written_is_an_error_of_the_user(tmp_path: Path) -> None:
    from septum.lang.errors import UserError

    with pytest.raises(UserError, match="nowhere"):
        write(str(tmp_path / "nowhere" / "page.html"), "", document([], {}), "")


def test_explain_writes_each_state(pool: Path, found: Any, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "page.html"
    assert main(["explain", found.counterexample.token, str(pool), "--html", str(file)]) == 1
    [one] = json.loads(Parsed(file.read_text()).scripts[0])["findings"]
    assert len(one["scenes"]) == len(one["steps"]) + 1 == 5
    assert "custody" in capsys.readouterr().out


@pytest.fixture
def shown(browser: Any, text: str, tmp_path: Path) -> Iterator[Any]:
    """The page in a browser, which may ask no network for anything, and may complain of nothing."""
    path = tmp_path / "page.html"
    path.write_text(text)
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    one, complaints = context.new_page(), []
    one.on("console", lambda message: complaints.append(message.text))
    one.on("pageerror", lambda error: complaints.append(str(error)))
    one.on("request", lambda request: complaints.append(request.url) if not request.url.startswith("file:") else None)
    one.goto(path.as_uri())
    yield one
    context.close()
    assert not complaints


def selected(shown: Any) -> str:
    return str(shown.locator("[aria-selected=true] .number").inner_text())


def test_markup_is_shown_as_text(shown: Any, found: Result) -> None:
    assert shown.title() == f"check {MARKUP}"
    assert found.clause in shown.locator("details p.bad").first.inner_text()
    assert shown.locator("main b[title]").count() == 0
    assert f"CPU 0 {MARKUP}" in shown.locator(".heads").inner_text()


def test_the_schedule_is_stepped_by_keys_and_by_clicks(shown: Any) -> None:
    shown.locator(".diagram").focus()
    assert selected(shown) == "4"
    shown.keyboard.press("ArrowUp")
    assert selected(shown) == "3"
    assert "After step 3 of 4" in shown.locator(".state").inner_text()
    shown.keyboard.press("Home")
    assert selected(shown) == "0"
    shown.keyboard.press("n")
    assert selected(shown) == "1"
    shown.locator(".diagram [role=option]").nth(2).click()
    assert selected(shown) == "2"
    shown.get_by_role("button", name="the next step", exact=True).click()
    assert selected(shown) == "3"
    fields = shown.locator("[data-name='All fields']").inner_text()
    assert "nobjs 2 1" in " ".join(fields.split())
    shown.locator("input[type=range]").fill("1")
    assert selected(shown) == "1"


def test_a_place_that_is_watched_marks_the_steps_that_touch_it(shown: Any) -> None:
    shown.get_by_role("combobox").select_option("taken[1]")
    assert shown.locator(".watched .number").all_inner_texts() == ["3"]
    shown.locator(".diagram").focus()
    shown.keyboard.press("Home")
    shown.keyboard.press("w")
    assert selected(shown) == "3"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_told_from_paper_in_light_and_dark(shown: Any, scheme: str) -> None:
    shown.emulate_media(color_scheme=scheme)
    ink, paper = (
        [int(n) for n in re.findall(r"\d+", shown.evaluate(f"getComputedStyle(document.body).{of}"))][:3]
        for of in ("color", "backgroundColor")
    )
    light, dark = max(sum(ink), sum(paper)), min(sum(ink), sum(paper))
    assert light - dark > 450
    assert (sum(paper) > sum(ink)) == (scheme == "light")


def test_nothing_is_wider_than_a_narrow_window(shown: Any) -> None:
    shown.set_viewport_size({"width": 420, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= 420


def test_it_can_be_printed(shown: Any) -> None:
    assert shown.pdf().startswith(b"%PDF")
