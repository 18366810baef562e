"""A verdict to quote: what was checked, how large, what became of each property, of which version, and by which command."""

from __future__ import annotations

import contextlib
import io
import json
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


OWN = '''"""Two threads count in slots."""
from septum.lang import Index, Model, Scenario, Size, Struct, call, process, u8

SLOTS = Size("SLOTS", 3)
Slot = Index("Slot", SLOTS)

class World(Struct):
    count: u8[Slot]

@process
def counts(m: World, slot: Slot):
    yield
    m.count[slot] = 1

def start(setup):
    for slot in range(2):
        setup.thread(f"T{slot}", call(counts, slot))

model = Model("own", World, (Scenario("two", "Two threads count", start, few_states=True),))
'''


def test_of_a_model_of_ones_own_its_own_sizes_and_the_hash_of_its_file_are_said(tmp_path, capsys):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    assert main(["check", str(path), "--mail"]) == 0
    text = capsys.readouterr().out
    assert re.findall("scope: (.*)", text) == ["SLOTS 3"]
    assert design_version(load(str(path))) in text
    before = design_version(load(str(path)))
    path.write_text(OWN.replace("count in slots", "count elsewhere"))
    assert design_version(load(str(path))) != before
    assert main(["check", str(path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["results"]
    assert (found["scope"], found["file"].rpartition("/")[2]) == ({"SLOTS": 3}, "own.py")


def test_a_hash_covers_the_modules_beside_a_model(tmp_path):
    (tmp_path / "beside.py").write_text("def slot_of(cpu):\n    return cpu\n")
    (tmp_path / "own.py").write_text(OWN.replace("from septum", "from beside import slot_of\nfrom septum", 1))
    before = design_version(load(str(tmp_path / "own.py")))
    (tmp_path / "beside.py").write_text("def slot_of(cpu):\n    return cpu + 1\n")
    assert design_version(load(str(tmp_path / "own.py"))) != before


def test_the_command_reproduces_it(letter):
    command = letter[1].partition("To reproduce:\n")[2].replace("\\\n", " ")
    assert shlex.split(command) == [
        *("septum", "check", "upstream", "dpamt_v5_as_posted", "--scenario", "rcu_callbacks", "--mail"),
    ]
