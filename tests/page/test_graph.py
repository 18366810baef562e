"""The states of a small scenario as a graph."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import septum
from septum.check.loading import load
from septum.cli import main
from septum.explore.build import build
from septum.lang import Model
from septum.lang.errors import UserError
from septum.page import graph
from septum.page.graph import dot
from tests.page.conftest import MARKUP


def test_it_has_every_state_and_every_step_that_a_search_finds(pool_model: Model, pool: Path, tmp_path: Path) -> None:
    mended = tmp_path / "mended.py"
    mended.write_text(pool.read_text().replace("    n = m.nobjs\n    yield", "    yield\n    n = m.nobjs\n   "))
    model = load(str(mended))
    text = dot(build(model, model.scenarios[0]))
    whole = septum.check(model, "two_takers", engine="python")
    assert len(re.findall(r"^  s\d+ \[", text, re.MULTILINE)) == whole.states
    assert text.count(" -> ") == whole.transitions
    assert "octagon" not in text


def test_what_fails_is_a_node_of_its_own_and_names_are_quoted(pool_model: Model) -> None:
    text = dot(build(pool_model, pool_model.scenarios[0]))
    assert text.count("shape=octagon") == 2
    assert f'label="CPU 0 {MARKUP}"' in text
    assert r"nobjs 2\ntaken 0 0" in text
    assert "pool.py:" in text


def test_more_states_than_a_picture_shows_are_refused(pool_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MOST", 10)
    with pytest.raises(UserError, match="more than 10 states"):
        dot(build(pool_model, pool_model.scenarios[0]))


def test_the_command_writes_it(pool: Path, tmp_path: Path) -> None:
    assert main(["explore", str(pool), "two_takers", "--dot", str(tmp_path / "graph.dot")]) == 0
    assert (tmp_path / "graph.dot").read_text().startswith("digraph")
