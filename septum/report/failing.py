"""A plugin of pytest: a test that fails because a check does not hold shows the counterexample below the assertion."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from septum.check.result import Result


def pytest_runtest_setup() -> None:
    """What an earlier test was about is forgotten."""
    _denied().clear()


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Adds a section to the report of an assertion that failed after a Result was denied."""
    failed = call.excinfo is not None and isinstance(call.excinfo.value, AssertionError)
    for result in _denied() if failed and call.when == "call" else ():
        item.add_report_section("call", "septum", shown(result))


def _denied() -> list[Result]:
    """Empty in a run of pytest that has nothing to do with septum, which is not imported for it."""
    module = sys.modules.get("septum.check.result")
    return module.denied if module else []


def shown(result: Result) -> str:
    """The finding, or why the check does not hold."""
    from septum.report.terminal import finding, unfinished, vacuous

    if result.counterexample is not None:
        return finding(result)
    return "\n".join([*vacuous([result]), *unfinished([result])]) or f"{result.design}, {result.scenario}: {result.verdict}"
