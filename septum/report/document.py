"""Results as one JSON document; docs/commands.md describes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from septum.check.result import Counterexample, Result, Step


def document(results: Iterable[Result]) -> dict[str, Any]:
    """`{"results": [...]}`, one entry per design and scenario."""
    return {"results": [entry(result) for result in results]}


def entry(result: Result) -> dict[str, Any]:
    """Every field of a Result, the verdict as text."""
    found = {name: getattr(result, name) for name in result.__dataclass_fields__}
    found["verdict"] = str(result.verdict)
    found |= {name: list(found[name]) for name in ("events", "unexecuted", "own_locks")}
    found["counterexample"] = counterexample(result.counterexample) if result.counterexample else None
    found["excepted"] = [asdict(one) for one in result.excepted]
    found["others"] = [violation(one) for one in result.others]
    return found


def violation(result: Result) -> dict[str, Any]:
    """One more violation of a scenario: what is not the same for all of them."""
    found = {name: getattr(result, name) for name in ("property", "clause", "place", "depth", "reason")}
    return found | {"counterexample": counterexample(result.counterexample) if result.counterexample else None}


def counterexample(found: Counterexample) -> dict[str, Any]:
    return {
        "steps": [step(item) for item in found.steps],
        "threads": [asdict(standing) for standing in found.threads],
        "token": found.token,
        "shortest": found.shortest,
        "loop": found.loop,
        "race": asdict(found.race) if found.race else None,
        "behind": list(found.behind),
    }


def step(item: Step) -> dict[str, Any]:
    """A step; function, file and line are those of the innermost call, the last of its stack."""
    innermost = {"function": item.call.function, "file": item.call.file, "line": item.call.line}
    return {"thread": item.thread, **innermost, **{name: value for name, value in asdict(item).items() if name != "thread"}}
