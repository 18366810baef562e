"""Every violation of a scenario: what was found is set aside, and the scenario is explored again, until nothing else is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from septum.check.excepted import Aside
from septum.check.result import Result, Verdict
from septum.explore.build import DEADLOCK, PROGRESS, RACE, Build
from septum.lang.errors import OutOfTime, UserError
from septum.translate.sites import Site

MOST_FOUND = 8
"""So many violations of a scenario are looked for, each by an exploration; one more counts the rest."""

Check = Callable[[Aside], Result]
REST = "the rest"


def every_violation(built: Build, aside: Aside, check: Check) -> Result:
    """The nearest violation, the `others`, which lie at other places, and the figures of the last exploration.

    `check` explores the build with what it is given set aside. A race, or a cycle, is looked for after all else, and only one.
    """
    beyond: Aside | None = aside
    found, further, seconds = list[Result](), 0, 0.0
    while beyond:
        last = _next(check, beyond, found)
        seconds += last.seconds
        beyond = _behind(built, beyond, last)
        if last.verdict is Verdict.VIOLATED:
            found.append(replace(last, excepted=last.excepted[: len(aside.sites)]))
        if beyond and len(found) == MOST_FOUND:
            last = _next(check, _everything(built, beyond), found)
            further, seconds, beyond = _counted(last), seconds + last.seconds, None
    if not found:
        return last
    ended = _ended(last)
    return replace(
        found[0], others=tuple(found[1:]), further=None if ended else further, reason=found[0].reason or ended,
        states=last.states, transitions=last.transitions, seconds=seconds, collision=last.collision,
        witnesses=last.witnesses, unexecuted=last.unexecuted, bound_met=last.bound_met, kept=last.kept,
        excepted=last.excepted[: len(aside.sites)],
    )  # fmt: skip


def _next(check: Check, aside: Aside, found: list[Result]) -> Result:
    """What was found stands, also where the time, Ctrl-C or a mistake of the model ends the run before all was looked for."""
    try:
        return check(aside)
    except (OutOfTime, KeyboardInterrupt, UserError) as error:
        if not found:
            raise
        reason = "the time ended" if isinstance(error, OutOfTime) else str(error).partition("\n")[0] or "stopped"
        return replace(found[-1], verdict=Verdict.INCOMPLETE, reason=reason)


def _behind(built: Build, aside: Aside, found: Result) -> Aside | None:
    """What is set aside next; None where nothing failed, nothing goes on behind what did, or that was looked for last."""
    if found.verdict is not Verdict.VIOLATED:
        return None
    if found.property == DEADLOCK:
        return Aside({**aside.sites, DEADLOCK: frozenset()})
    sites = frozenset(number for number, site in _assertions(built) if site.place == found.place)
    return Aside({**aside.sites, found.place: sites}) if sites else None


def _assertions(built: Build) -> Iterator[tuple[int, Site]]:
    return ((number, site) for number, site in enumerate(built.translation.sites) if site.is_assertion)


def _everything(built: Build, aside: Aside) -> Aside:
    """All assertions, and deadlocks: those of them that are not set aside yet are the rest."""
    rest = {number for number, _ in _assertions(built)}.difference(built.ignored, *aside.sites.values())
    more = {} if aside.deadlocks else {DEADLOCK: frozenset[int]()}
    return Aside({**aside.sites, REST: frozenset(rest), **more})


def _counted(last: Result) -> int:
    """How many places failed of what was set aside as the rest, and what is found behind them."""
    names = [one.clause for one in last.excepted]
    rest = last.excepted[names.index(REST) :] if REST in names else ()
    return sum(len(one.failed) for one in rest) + (last.verdict is Verdict.VIOLATED)


def _ended(last: Result) -> str:
    """Why not all violations are known; "" if they are."""
    if last.verdict is Verdict.INCOMPLETE:
        return last.reason
    if last.verdict is Verdict.VIOLATED and last.property not in (RACE, PROGRESS):
        return f"nothing goes on behind {last.place or last.clause}"
    return ""
