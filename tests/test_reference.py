"""What is cited of docs/reference/ is there, and who is named in it is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
NAMES = ("designs", "kvm-mmu", "tdx-module")
NUMBER = r"\d+(?:\.\d+)*[a-z]?\b"
CITATION = re.compile(rf"\b({'|'.join(NAMES)})\.md[`)\]/\w.-]*,? ({NUMBER}(?:(?:, | to | - | and ){NUMBER})*)")
TAG = re.compile(r"\b(?:MK|MT|[AR][1-6])\b")
PLACES = ("septum", "docs", "tests", "examples", "benchmarks")
FILES = [
    ROOT / "README.md",
    *sorted(file for place in PLACES for ext in ("py", "md", "c", "h") for file in (ROOT / place).rglob(f"*.{ext}")),
]


def sections(document: str) -> set[str]:
    text = (REFERENCE / f"{document}.md").read_text()
    return set(re.findall(rf"^#+ ({NUMBER})\.? ", text, re.MULTILINE))


def cited(text: str) -> list[tuple[str, str]]:
    return [(name, number) for name, numbers in CITATION.findall(text) for number in re.findall(NUMBER, numbers)]


def test_every_section_that_is_cited_has_its_heading():
    there = {name: sections(name) for name in NAMES}
    wrong = {
        f"{file.relative_to(ROOT)}: {name}.md {number}"
        for file in FILES
        for name, number in cited(file.read_text())
        if number not in there[name]
    }
    assert not wrong


def test_a_citation_is_found_however_it_is_written():
    text = "kvm-mmu.md 4.7b. designs.md 5.8, 5.9, 9 and kvm-mmu.md 4.9 to 4.11; [tdx-module.md](reference/tdx-module.md) 2.4)"
    assert [number for _, number in cited(text)] == ["4.7b", "5.8", "5.9", "9", "4.9", "4.11", "2.4"]
    assert sum(len(cited(file.read_text())) for file in FILES) > 250


@pytest.mark.parametrize("name", NAMES)
def test_sections_are_numbered_once_and_in_order(name):
    numbers = re.findall(rf"^#+ ({NUMBER})\.? ", (REFERENCE / f"{name}.md").read_text(), re.MULTILINE)
    order = [[int(re.sub("[a-z]", "", part)) for part in number.split(".")] + [number[-1].isalpha()] for number in numbers]
    assert order == sorted(order)
    assert len(numbers) == len(set(numbers))


def test_a_role_that_the_designs_name_is_in_their_table():
    text = (REFERENCE / "designs.md").read_text()
    table = text[text.index("## Who is who") : text.index("Timeline")].replace("R2..R6", "R2 R3 R4 R5 R6")
    assert set(TAG.findall(text)) <= set(TAG.findall(table))


def test_no_role_is_named_where_it_is_not_explained():
    """Letters with numbers are other things in the other two documents, and in tests."""
    files = [file for file in FILES if file.is_relative_to(ROOT / "docs") or file.is_relative_to(ROOT / "septum")]
    named = {(file.name, tag) for file in files if file.parent != REFERENCE for tag in re.findall(TAG, file.read_text())}
    assert not named


@pytest.mark.parametrize("name", NAMES)
def test_a_document_links_only_to_what_is_in_the_repository(name):
    text = (REFERENCE / f"{name}.md").read_text()
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (REFERENCE / link).is_file(), link
    for other in re.findall(r"\b[\w-]+\.md\b", text):
        assert (REFERENCE / other).is_file() or (REFERENCE.parent / other).is_file() or other == "README.md", other
