"""The scorecard of the debate: each claim, its outcome, and the command that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from septum.check.claims import Claim, Outcome, Settled
from septum.check.result import Result
from septum.report.document import entry
from septum.report.paragraphs import wrapped
from septum.report.terminal import Drawing, finding

Scored = tuple[Claim, Settled]


def render(scored: Sequence[Scored], *, width: int = 80) -> str:
    """A block for each claim; then the diagrams of the counterexamples, each once."""
    parts = [block(claim, settled, width) for claim, settled in scored]
    shown: dict[tuple[str, str, str], Result] = {}
    for _, settled in scored:
        if settled.shown is not None:
            shown.setdefault((settled.shown.design, settled.shown.scenario, settled.shown.clause), settled.shown)
    parts += [finding(result, Drawing.RACE) for result in shown.values()]
    counts = [f"{sum(s.outcome is one for _, s in scored)} {one}" for one in Outcome if any(s.outcome is one for _, s in scored)]
    return "\n".join([*parts, f"{len(scored)} claims: {', '.join(counts)}\n"])


def block(claim: Claim, settled: Settled, width: int) -> str:
    lines = [f"{claim.name} ({claim.by}): {settled.outcome}", wrapped(f"  {claim.says}", width)]
    lines += [wrapped(f"  {settled.because}", width), f"  {settled.command}"]
    return "\n".join(lines) + "\n"


def document(scored: Sequence[Scored]) -> dict[str, Any]:
    """`{"claims": [{claim, by, outcome, command, ...}]}`."""
    return {
        "claims": [
            {
                "claim": claim.name,
                "says": claim.says,
                "by": claim.by,
                "outcome": str(settled.outcome),
                "because": settled.because,
                "command": settled.command,
                "result": entry(settled.shown) if settled.shown is not None else None,
            }
            for claim, settled in scored
        ]
    }
