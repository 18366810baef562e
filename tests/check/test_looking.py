"""`print` and `breakpoint` in a model: what a replay shows, and what is no part of the model."""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.check.explain import explain

MODEL = """
from septum.lang import Model, Scenario, Struct, call, process, u8

class World(Struct):
    n: u8

@process
def count(m: World):
    n = m.n
    yield
    m.n = u8(n + 1)
    yield
    assert m.n == 2, f"counts: {m.n}"

def start(setup):
    setup.thread("CPU 0", call(count))
    setup.thread("CPU 1", call(count))

model = Model("counts", World, (Scenario("two", "Two CPUs count", start),))
"""

pytestmark = pytest.mark.usefixtures("quickly_compiled")


def test_what_a_model_prints_is_printed_in_a_replay_of_the_same_schedule(tmp_path, capsys):
    path = tmp_path / "counts.py"
    path.write_text(MODEL)
    silent = check(str(path), "two", races=False)
    path.write_text(MODEL.replace("    yield\n    m.n = ", '    print("read", n, [m.n], sep="; ")\n    yield\n    m.n = '))
    printing = check(str(path), "two", races=False)
    assert (printing.states, printing.transitions, printing.clause) == (silent.states, silent.transitions, silent.clause)
    assert printing.counterexample.token == silent.counterexample.token
    capsys.readouterr()
    explain(silent.counterexample.token, str(path))
    shown = capsys.readouterr().out.splitlines()
    assert shown and set(shown) == {"read; 0; [0]"}


def test_a_debugger_is_called_in_a_replay(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr("sys.breakpointhook", lambda: called.append("breakpoint"))
    path = tmp_path / "counts.py"
    path.write_text(MODEL.replace("    assert", "    breakpoint()\n    assert"))
    result = check(str(path), "two", races=False)
    called.clear()
    explain(result.counterexample.token, str(path))
    assert called
