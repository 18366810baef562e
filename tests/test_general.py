"""The page about models of one's own: its models hold, and with the change that it shows each breaks as it shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.loading import load
from septum.report.terminal import finding

PAGE = Path(__file__).parents[1] / "docs" / "general.md"
SECTIONS = re.findall(r"^## [^\n]*: (\w+\.py)$(.*?)(?=^## )", PAGE.read_text(), re.MULTILINE | re.DOTALL)
BROKEN = {"counts.py": "race", "rcu.py": "use after free", "wait.py": "deadlock", "ring.py": "order"}

pytestmark = pytest.mark.usefixtures("quickly_compiled")


def blocks(section: str) -> dict[str, str]:
    """What stands between fences, by its language; what is printed has none."""
    return dict(re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


def changed(text: str, diff: str) -> str:
    """The text with the lines of a diff without a head."""
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    assert text.count(old) == 1
    return text.replace(old, "".join(line[1:] for line in lines if line[0] in " +"))


def printed(text: str) -> str:
    """Of a finding what the page shows: neither its title nor the token."""
    return text.split("\n\n", 1)[1].split("\n\nReplay it")[0].strip("\n") + "\n"


def test_every_model_of_the_page_has_a_test():
    assert [name for name, _ in SECTIONS] == list(BROKEN)


@pytest.mark.parametrize(("name", "section"), SECTIONS, ids=list(BROKEN))
def test_a_model_holds_and_breaks_with_the_change(name, section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    shown = blocks(section)
    path.write_text(shown["python"])
    assert all(check(f"./{name}", scenario.name).holds for scenario in load(f"./{name}").scenarios)
    path.write_text(changed(path.read_text(), shown["diff"]))
    result = check(f"./{name}", load(f"./{name}").scenarios[0].name)
    assert result.property == BROKEN[name]
    found = printed(finding(result))
    if os.environ.get("SEPTUM_GOLDEN") == "write":
        PAGE.write_text(PAGE.read_text().replace(f"```\n{shown['']}```", f"```\n{found}```"))
        shown[""] = found
    assert found == shown[""]
