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


REPEATED = """status = yield from tdh_mem_page_promote(m, vm, gfn, Level(2))
        while status in (TDX_OPERAND_BUSY, TDX_INTERRUPTED_BUSY):
            status = yield from tdh_mem_page_promote(m, vm, gfn, Level(2))
"""


def test_a_promote_and_an_aug_meet_in_the_s_ept_tree_since_1_5_20(tmp_path):
    example = EXAMPLES / "promote_merges.py"
    assert check(str(example), "merge", module="1.5.16").holds
    broken = check(str(example), "merge", module="1.5.25")
    assert (broken.verdict, broken.property) == (Verdict.VIOLATED, "asserts")
    assert "a SEAMCALL answers TDX_OPERAND_BUSY" in broken.clause
    told = tmp_path / "told_busy.py"
    once = "status = yield from tdh_mem_page_promote(m, vm, gfn, Level(2))\n"
    repeated = REPEATED.replace("(TDX_OPERAND_BUSY, TDX_INTERRUPTED_BUSY)", "(TDX_OPERAND_BUSY,)")
    told.write_text(example.read_text().replace(once, repeated))
    assert "a SEAMCALL answers TDX_INTERRUPTED_BUSY" in check(str(told), "merge", module="1.5.25").clause
    right = tmp_path / "repeated.py"
    right.write_text(example.read_text().replace(once, REPEATED).replace("import TDX_OP", "import TDX_INTERRUPTED_BUSY, TDX_OP"))
    assert check(str(right), "merge", module="1.5.25").holds


def test_a_module_that_septum_does_not_follow_is_refused(capsys):
    with pytest.raises(UserError, match=r"follows no TDX module 1\.5\.20; there are 1\.5\.16"):
        check("upstream", "same_gfn", module="1.5.20")
    assert main(["check", "upstream", "--scenario", "same_gfn", "--module", "3"]) == 2
    assert "follows no TDX module 3" in capsys.readouterr().err
