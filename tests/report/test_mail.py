"""A verdict to quote: what was checked, how large, what became of each property, of which version, and by which command."""

from __future__ import annotations

import contextlib
import io
import re
import shlex

import pytest

from septum.check.loading import load
from septum.check.versions import design_version, model_version
from septum.cli import main


@pytest.fixture(scope="module")
def letter():
    """Of a design that holds and of one that does not, with the exit status."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        status = main(["check", "upstream", "dpamt_v5_as_posted", "--scenario", "rcu_callbacks", "--mail"])
    return status, text.getvalue()


def test_it_fits_a_mail(letter):
    assert max(map(len, letter[1].splitlines())) <= 72
    assert letter[1].isascii()


def test_scope_and_size_of_each_check_are_said(letter):
    assert "upstream, rcu_callbacks: holds\n  scope: VMS 2, VCPUS 1, THREADS 3, PAGES 28" in letter[1]
    assert re.search(r"  [\d,]+ states, [\d,]+ transitions, depth 42, ", letter[1])
    assert "Reductions: fusion, partial, symmetry." in letter[1]


def test_every_property_has_its_verdict_also_beside_one_that_is_violated(letter):
    status, text = letter
    broken = text[text.index("dpamt_v5_as_posted, rcu_callbacks: violated") :]
    assert status == 1
    assert "  context: violated: a softirq spins for a lock that is held with" in broken
    assert "  custody: holds" in broken


def test_what_was_not_judged_is_not_said_to_hold(letter):
    assert "  progress: not judged; --progress does" in letter[1]


def test_witnesses_are_named(letter):
    assert "  reached: page_mapped, vm_destroyed" in letter[1]
    assert "  not reached before it failed: page_mapped, vm_destroyed" in letter[1]


def test_versions_are_content_hashes(letter):
    versions = " ".join(letter[1].split())
    assert f"model {model_version()}, upstream {design_version(load('upstream'))}," in versions
    assert design_version(load("upstream")) != design_version(load("dpamt_v5"))


def test_the_command_reproduces_it(letter):
    command = letter[1].partition("To reproduce:\n")[2].replace("\\\n", " ")
    assert shlex.split(command) == [
        *("septum", "check", "upstream", "dpamt_v5_as_posted", "--scenario", "rcu_callbacks", "--mail"),
    ]
