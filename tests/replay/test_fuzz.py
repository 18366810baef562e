"""The readers under sanitizers: a small part of what `make fuzz` tries."""

from __future__ import annotations

import subprocess

import pytest

from septum.translate.compile import compiler
from tests.fuzz import readers

INPUTS, ARCHIVES = 2000, 200


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """A directory; skips where the compiler has no sanitizers."""
    directory = tmp_path_factory.mktemp("fuzz")
    (directory / "empty.c").write_text("int main(void) { return 0; }\n")
    command = [*compiler(), *readers.SANITIZED, "-o", str(directory / "empty"), str(directory / "empty.c")]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("the compiler has no address sanitizer")
    return directory


def test_mutated_traces_end_in_a_result(sanitized):
    came = readers.fuzz(readers.built(sanitized), readers.corpus(sanitized), INPUTS, 1)
    assert came.total() == INPUTS
    assert min(came.values()) > INPUTS // 100


def test_damaged_archives_are_read_up_to_the_damage(tmp_path):
    came = readers.damaged(ARCHIVES, 1, tmp_path)
    assert sum(came.values()) == ARCHIVES
    assert came["cut or damaged"] > ARCHIVES // 2
