"""Every row of kvm-mmu.md 7 has its test: one that is missing is a failure, and so is one that the reference does not have."""

from __future__ import annotations

import re

import pytest

from tests.kvm import test_assertions, test_direct_assertions
from tests.test_reference import REFERENCE

ASSERTED = (*(f"A{number}" for number in range(1, 24)), *(f"B{number}" for number in range(1, 14)))
IMPLICIT = tuple(f"I{number}" for number in range(1, 22))


def rows():
    return {one for row in (*test_assertions.ROWS, *test_direct_assertions.ROWS) for one in row.ids.split()}


@pytest.mark.parametrize("row", [*ASSERTED, *IMPLICIT])
def test_a_row_fails_on_a_broken_model_and_holds_on_the_right_one(row):
    assert row in rows()


def test_no_other_row_is_claimed():
    assert rows() == {*ASSERTED, *IMPLICIT}


def test_the_rows_are_those_of_the_reference():
    text = (REFERENCE / "kvm-mmu.md").read_text()
    assert re.findall(r"^\| ([AB]\d+) \|", text, re.MULTILINE) == list(ASSERTED)
    assert re.findall(r"^(I\d+)\. ", text, re.MULTILINE) == list(IMPLICIT)
