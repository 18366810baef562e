"""The scorecard of the debate: every claim is there, its commands are commands, and what is quick is settled here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from septum.check.claims import CLAIMS, Outcome
from septum.cli import names
from septum.cli.app import app
from septum.report.claims import document, render

PAGE = (Path(__file__).parents[2] / "docs" / "claims.md").read_text()
BY_NAME = {claim.name: claim for claim in CLAIMS}
QUICK = ("put-in-rcu-callback", "merged-get-drains-pairs", "bound-at-allocation-is-idle", "global-lock-is-needed")


@pytest.fixture(scope="module")
def settled():
    return {name: BY_NAME[name].query() for name in QUICK}


def rows():
    """Claim, by, outcome and command of each row of the page."""
    return re.findall(r"^\| `([\w-]+)` \| .+? \| (.+?) \| (confirmed|refuted) \| `(.+?)` \|$", PAGE, re.MULTILINE)


def test_the_eleven_rows_of_the_reference_and_the_two_of_the_seed_are_there():
    """designs.md 6.6 and 5.10."""
    assert len(CLAIMS) == 13
    assert sum(claim.name.startswith("seed") for claim in CLAIMS) == 2
    assert [(name, by) for name, by, _, _ in rows()] == [(claim.name, claim.by) for claim in CLAIMS]


@pytest.mark.parametrize("command", [command for _, _, _, command in rows()])
def test_a_command_of_the_page_names_what_there_is(command):
    program, verb, *words = shlex.split(command)
    assert program == "septum"
    found = app.get_command(click.Context(app), verb)
    assert found
    with found.make_context(verb, list(words)) as context:
        given = context.params
    designs = given.get("designs") or [one for one in (given.get("design"),) if one]
    models = [names.load(design) for design in designs]
    for scenario in given.get("scenarios", ()):
        names.known("scenario", scenario, names.scenarios(models))
    if given.get("property"):
        names.known("property", given["property"], names.properties(models))
    for claim in given.get("chosen", ()):
        names.known("claim", claim, BY_NAME)


@pytest.mark.parametrize("name", QUICK)
def test_the_page_has_the_outcome_and_the_command(settled, name):
    assert (name, BY_NAME[name].by, str(settled[name].outcome), settled[name].command) in rows()


def test_a_counterexample_that_makes_the_point_is_drawn(settled):
    text = render([(BY_NAME[name], one) for name, one in settled.items()])
    assert "dpamt_v5_as_posted, rcu_callbacks: violated: context" in text
    assert "dpamt_range_locks, two_tds: violated: deadlock" in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.endswith(f"4 claims: 4 {Outcome.CONFIRMED}\n")


def test_json(settled):
    found = document([(BY_NAME[name], one) for name, one in settled.items()])["claims"]
    assert [one["claim"] for one in found] == list(QUICK)
    assert {"claim", "by", "outcome", "command"} <= set(found[0])
    assert found[0]["result"]["counterexample"]["steps"]
    assert found[1]["result"] is None
