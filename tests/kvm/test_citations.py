"""What the model cites is there: each "kvm-mmu.md 4.7" names a section of the reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import septum

ROOT = Path(septum.__file__).parent
REFERENCE = ROOT.parent.parent / "shared" / "reference"
CITATION = re.compile(r"(kvm-mmu|tdx-module|designs)\.md ((?:\d+(?:\.\d+)*[a-z]?(?:, )?)+)")
FILES = sorted(
    file for part in ("host", "tdx", "kvm", "designs", "scenarios", "properties") for file in (ROOT / part).rglob("*.py")
)


def sections(document: str) -> set[str]:
    text = (REFERENCE / f"{document}.md").read_text()
    headings = set(re.findall(r"^#+ (\d+(?:\.\d+)*[a-z]?)\.? ", text, re.MULTILINE))
    return headings | set(re.findall(r"^(\d+(?:\.\d+)+) \*\*", text, re.MULTILINE))


def cited(text: str) -> list[tuple[str, str]]:
    return [(name, number) for name, numbers in CITATION.findall(text) for number in numbers.rstrip(", ").split(", ")]


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference lies beside the checkout, not in it")
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_citation_names_a_section(file):
    for document, number in cited(file.read_text()):
        assert number in sections(document), f"{file.name} cites {document}.md {number}"


def test_the_model_cites_its_reference():
    assert sum(len(cited(file.read_text())) for file in FILES) > 80
