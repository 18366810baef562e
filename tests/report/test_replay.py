"""The report of a replay, its document, and its plots."""

from __future__ import annotations

import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from septum.lang.errors import UserError
from septum.replay.replay import replay
from septum.replay.result import Result, Sample
from septum.report import plot
from septum.report.replay import document, render, telling
from tests.replay.samples import SMALL, file_of, lines_of
from tests.report.golden import pinned

DOCS = Path(__file__).parents[2] / "docs" / "replay.md"


@pytest.fixture
def broken(tmp_path, monkeypatch) -> str:
    """The small sample with another page in one change, as in docs/replay.md."""
    monkeypatch.chdir(tmp_path)
    lines = lines_of(SMALL)
    where = [i for i, line in enumerate(lines) if re.search(r"level 1 old_spte 8000000000000000 new_spte \w+7$", line)][40]
    lines[where] = re.sub(r"new_spte (\w)", r"new_spte 7\1", lines[where])
    Path("broken.trace").write_text("\n".join(lines) + "\n")
    return "broken.trace"


def timeless(result: Result) -> str:
    """The report, as of a machine that follows any trace in a second."""
    return render(replace(result, seconds=1.0))


def test_the_report_of_a_trace_that_is_explained(monkeypatch):
    monkeypatch.chdir(file_of(SMALL).parent)
    pinned("replay.txt", timeless(replay(file_of(SMALL).name)))


def test_the_report_of_a_divergence_is_that_of_the_documentation(broken):
    text = timeless(replay(broken))
    pinned("divergence.txt", text)
    shown = text[text.index("Divergence at line") :].rstrip()
    assert shown in DOCS.read_text()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_only_lines_of_the_trace_are_longer_than_the_terminal(broken, width):
    for line in render(replay(broken), width=width).splitlines():
        assert len(line) <= width or "kvm" in line or "gfn" in line, line


def test_the_document_is_json_with_every_field(broken):
    read = json.loads(json.dumps(document(replay(broken))))
    assert read["verdict"] == "diverged"
    assert read["groups"][0]["first"]["guard"] == "the fault asked for another PFN"
    assert read["reading"]["lines"] == len(lines_of(SMALL))
    for name in read:
        assert f"`{name}`" in DOCS.read_text(), name


def test_every_rule_is_explained_in_the_documentation():
    text = DOCS.read_text()
    for name in (file_of("6.12-race-wide"), file_of("6.1-dirty-lazy")):
        for rule in replay(str(name)).rules:
            assert f"`{rule}`" in text, rule


def test_a_picture_is_drawn(tmp_path):
    file = tmp_path / "mapped.png"
    plot.check_plot(str(file))
    plot.draw(replay(str(file_of("6.12-dirty-1g"))), str(file))
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_page_has_the_picture_and_the_numbers(tmp_path):
    file = tmp_path / "mapped.html"
    plot.draw(replay(str(file_of("6.12-dirty-1g"))), str(file))
    text = file.read_text()
    html.parser.HTMLParser().feed(text)
    assert text.count("<svg") == text.count("</svg>") == 1
    assert "<th>1G</th>" in text
    assert "split a huge page" in text
    assert "http-equiv" not in text
    assert "<script" not in text


def test_a_trace_without_pages_is_drawn_too(tmp_path):
    trace = tmp_path / "empty"
    trace.write_text("")
    plot.draw(replay(str(trace)), str(tmp_path / "empty.png"))
    assert (tmp_path / "empty.png").exists()


@pytest.mark.parametrize(("name", "words"), [("plot.pdf", "png or .html"), ("missing/plot.png", "no directory")])
def test_a_plot_that_cannot_be_drawn_is_refused_before_the_trace_is_read(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        plot.check_plot(name)


def test_without_its_library_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(plot.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[plot\]'"):
        plot.check_plot(str(tmp_path / "plot.png"))


def test_numbers_of_near_phases_stand_on_rows_of_their_own():
    rows = plot.staggered([0.0, 0.1, 0.2, 5.0, 5.1, 9.0], 10.0)
    assert rows == [0, 1, 2, 0, 1, 0]


def test_the_table_of_mapped_pages_has_the_rows_in_which_something_changes():
    leaves = [(0, 0, 0)] * 40 + [(0, 0, 1)] + [(0, 0, 0)] * 40 + [(3, 0, 0)] * 40
    samples = [Sample(float(time), of) for time, of in enumerate(leaves)]
    shown = telling(samples, 6)
    assert len(shown) <= 6
    assert {samples[0], samples[40], samples[81], samples[-1]} <= set(shown)
