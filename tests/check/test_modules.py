"""`check --module`: what the contention rules of a TDX module's version do to a design."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.result import Verdict
from septum.cli.app import main
from septum.lang import UserError

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("example", "module", "verdict"),
    [("demote_told_busy", "1.5.16", Verdict.HOLDS), ("demote_told_busy", "1.5.25", Verdict.VIOLATED),
     ("demote_repeated", "1.5.25", Verdict.HOLDS)],
)  # fmt: skip
def test_a_demote_is_told_of_a_block_that_is_busy_since_1_5_20(example, module, verdict):
    result = check(str(EXAMPLES / f"{example}.py"), "dirty_logging", module=module, livelocks=verdict is Verdict.HOLDS)
    assert result.verdict is verdict
    assert result.property == ("asserts" if verdict is Verdict.VIOLATED else "")


def test_a_module_that_septum_does_not_follow_is_refused(capsys):
    with pytest.raises(UserError, match=r"follows no TDX module 1\.5\.20; there are 1\.5\.16"):
        check("upstream", "same_gfn", module="1.5.20")
    assert main(["check", "upstream", "--scenario", "same_gfn", "--module", "3"]) == 2
    assert "follows no TDX module 3" in capsys.readouterr().err
