"""`--html`: what was found, as a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Outcome


def given(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text().split('id="document">')[1].split("</script>")[0])


def test_a_check_writes_what_it_printed(septum: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    outcome = septum("check", "upstream", "--html", str(file))
    assert (outcome.status, outcome.err) == (0, "")
    made = given(file)
    assert made["title"] == "septum check upstream"
    assert [(row["scenario"], row["verdict"]) for row in made["results"]] == [("same_gfn", "holds"), ("zap", "holds")]
    assert outcome.out.splitlines()[0] in file.read_text()


def test_a_page_that_cannot_be_written_is_said_after_the_report(septum: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = septum("check", "upstream", "--html", str(tmp_path / "nowhere" / "page.html"))
    assert outcome.status == 2
    assert "2 checks: 2 hold" in outcome.out
    assert "nowhere" in outcome.err
