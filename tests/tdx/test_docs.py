"""The page of the emulator is true: its example runs, its matrix is the table that is tested, its script ends well."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from septum.cli.app import main
from septum.tdx import Host, Module
from septum.tdx.shell import Shell
from septum.tdx.versions import RULES, VERSIONS
from tests.tdx import compared
from tests.tdx import reference as ref

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tdx.md"
SHORT = {ref.S: "`!S`", ref.NB: "`!NB`", ref.T: "`!T`", ref.AB: "`AB`", ref.NP: "`NP`", None: "-", "EXIT": "TD exit", "VE": "#VE"}

OP_STATES = (
    "Op states (0 UNINITIALIZED, 1 INITIALIZED, 2 RUNNABLE, 3-12 of migration) in which a leaf is legal, tdx-module.md 10.2:"
)


def cell(value) -> str:
    """A cell of the table as the page shows it."""
    if isinstance(value, tuple) and isinstance(value[1], int):
        return f"{value[0]}+{value[1]}"
    if isinstance(value, tuple):
        return " / ".join(map(cell, value))
    return SHORT.get(value, value)


def matrix() -> str:
    """The tables of reference.py in Markdown."""
    lines = [f"| leaf | level | {' | '.join(ref.STATES)} |", "| --- " * (len(ref.STATES) + 2) + "|"]
    for (leaf, levels), cells in {**ref.TABLE, **ref.BUILD_TABLE}.items():
        name = leaf.removeprefix("MEM_").replace("_", ".")
        lines.append(f"| {name} | {', '.join(map(str, levels))} | {' | '.join(map(cell, cells))} |")
    for (what, asked, level), cells in ref.GUEST.items():
        name = f"guest {what.replace('_', '.')} at {asked}" if what != "access" else "guest access"
        lines.append(f"| {name} | {level} | {' | '.join(map(cell, cells))} |")
    lines += ["", OP_STATES, "", "| leaf | op states |", "| --- | --- |"]
    lines += [f"| {leaf.replace('_', '.')} | {', '.join(map(str, sorted(states)))} |" for leaf, states in ref.OP_STATES.items()]
    return "\n".join(lines)


def test_the_matrix_of_the_page_is_the_table_that_is_tested():
    text = PAGE.read_text()
    pattern = re.compile(r"(?<=<!-- matrix -->\n).*?(?=<!-- end -->)", re.DOTALL)
    if os.environ.get("SEPTUM_GOLDEN") == "write":
        text = pattern.sub(lambda _: matrix() + "\n", text)
        PAGE.write_text(text)
    found = pattern.search(text)
    assert found
    assert found[0] == matrix() + "\n"


def versions() -> str:
    """The rules of the versions in Markdown."""
    lines = [f"| rule | {' | '.join(VERSIONS)} | known from |", "| --- " * (len(VERSIONS) + 2) + "|"]
    for rule in RULES:
        yes = set(rule.values) <= {0, 1}
        cells = [("yes" if value else "no") if yes else str(value) for value in rule.values]
        lines.append(f"| {rule.meaning} | {' | '.join(cells)} | {rule.source} |")
    return "\n".join(lines)


@pytest.mark.parametrize(("name", "table"), [("versions", versions), ("compared", compared.table)])
def test_the_tables_of_versions_and_of_what_was_compared_are_those_of_the_source(name, table):
    text = PAGE.read_text()
    pattern = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)
    if os.environ.get("SEPTUM_GOLDEN") == "write":
        text = pattern.sub(lambda _: table() + "\n", text)
        PAGE.write_text(text)
    found = pattern.search(text)
    assert found
    assert found[0] == table() + "\n"


def test_what_was_never_compared_is_in_no_recording():
    _, answers = compared.recorded()
    assert not {(leaf, one) for leaf, never in compared.NEVER.items() for one in never if one in answers.get(leaf, set())}


def test_the_examples_of_the_page_run():
    names: dict[str, object] = {}
    for example in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(example, "tdx.md", "exec"), names)


def test_the_session_of_the_page_is_what_the_shell_says():
    module = Module()
    shell, printed = Shell(module, Host(module)), []
    (session,) = re.findall(r"```\n(tdx> .*?)```", PAGE.read_text(), re.DOTALL)
    for line in session.splitlines():
        if line.startswith("tdx> "):
            printed += [line, *shell.run(line.removeprefix("tdx> ")).text.splitlines()]
    assert "\n".join(printed) + "\n" == session


def test_the_script_of_the_examples_ends_well(capsys):
    assert main(["tdx", str(ROOT / "examples" / "tdx" / "accept.tdx")]) == 0
    assert "0x1000 level 0: MAPPED" in capsys.readouterr().out
