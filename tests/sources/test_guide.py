"""What docs/sources.md and docs/my-patch.md show is what the commands print."""

from __future__ import annotations

import os
import re
from pathlib import Path

from septum.cli import main
from septum.sources.citations import citations
from septum.sources.compare import DRIFT, compare
from septum.sources.kept import releases

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "sources.md"
WRITE = os.environ.get("SEPTUM_GOLDEN") == "write"


def test_the_table_of_releases_is_what_the_command_prints(capsys):
    main(["sources"])
    printed = capsys.readouterr().out
    shown = re.search(r"<!-- releases -->\n```\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert shown
    if WRITE:
        GUIDE.write_text(GUIDE.read_text().replace(shown[0], f"<!-- releases -->\n```\n{printed}```"))
    else:
        assert shown[1] == printed


def test_every_function_that_is_changed_or_gone_is_explained_and_no_other():
    rows = [row for release in releases() for row in compare(release.tree(), citations(), releases()) if row.state in DRIFT]
    explained = (DOCS / "fidelity.md").read_text().partition("### Since 7.2\n")[2].partition("\n## ")[0]
    assert {row.name for row in rows} == set(re.findall(r"^\| `(\w+)` ", explained, re.MULTILINE))


def test_the_example_of_my_patch_is_what_the_command_makes(tmp_path, monkeypatch, capsys):
    page = (DOCS / "my-patch.md").read_text()
    blocks = ("```diff\n(.*?)```", "```\n(mine.py.*?)```", "```python\n(.*?)```")
    patch, printed, copied = (re.search(block, page, re.DOTALL) for block in blocks)
    assert patch
    assert printed
    assert copied
    monkeypatch.chdir(tmp_path)
    Path("pair.patch").write_text(patch[1])
    assert main(["new", "mine", "--from", "upstream", "--patch", "pair.patch"]) == 0
    out = capsys.readouterr().out
    written = Path("mine.py").read_text()
    made = written[written.index("# Begun from") : written.index("# An operation")].rstrip() + "\n"
    if WRITE:
        page = page.replace(printed[0], f"```\n{out}```").replace(copied[0], f"```python\n{made}```")
        (DOCS / "my-patch.md").write_text(page)
    else:
        assert (without_lines(printed[1]), without_lines(copied[1])) == (without_lines(out), without_lines(made))


def without_lines(text: str) -> str:
    return re.sub(r"\.py:\d+", ".py", text)
