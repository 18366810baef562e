"""What is known of a file that is watched: what each scenario came to, and what it had come to before the last save."""

from __future__ import annotations

from dataclasses import dataclass, field

from septum.check.result import Result, Verdict
from septum.report.terminal import verdict_text

Key = tuple[str, str]
"""A scope, and a scenario."""


@dataclass(frozen=True)
class Planned:
    """The file was read: its scopes in the order in which they are explored, and the scenarios of each."""

    scopes: tuple[str, ...]
    scenarios: tuple[str, ...]


@dataclass(frozen=True)
class Exploring:
    """A check runs; `far` says how far it is, the most important first."""

    scope: str
    scenario: str
    far: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a scenario came to in a scope."""

    scope: str
    result: Result

    @property
    def key(self) -> Key:
        return self.scope, self.result.scenario


@dataclass(frozen=True)
class Wrong:
    """The file cannot be checked further, and why."""

    text: str


@dataclass(frozen=True)
class Done:
    """Every scenario was checked in every scope."""


@dataclass(frozen=True)
class Still:
    """Nothing happened for a moment."""


Event = Planned | Exploring | Found | Wrong | Done | Still


@dataclass(frozen=True)
class Change:
    """A scenario whose verdict is another than before the last save; `old` is None for one that was not there."""

    scope: str
    old: Result | None
    new: Result


@dataclass
class Board:
    """A file as it stands: `before`, the newest verdicts at the last save; `now`, those since."""

    file: str
    plan: Planned = Planned((), ())
    before: dict[Key, Result] = field(default_factory=dict)
    now: dict[Key, Result] = field(default_factory=dict)
    exploring: Exploring | None = None
    wrong: str = ""
    done: bool = False

    @property
    def rests(self) -> bool:
        """Nothing runs until the next save: all was checked, or cannot be."""
        return self.done or bool(self.wrong)

    def saved(self) -> None:
        """The file was saved: what was known is what was known before."""
        self.before |= self.now
        self.now, self.exploring, self.wrong, self.done = {}, None, "", False

    def note(self, event: Event) -> None:
        """Something happened since the save."""
        match event:
            case Exploring():
                self.exploring = event
            case Planned():
                self.plan = event
            case Found():
                self.now[event.key] = event.result
            case Wrong():
                self.wrong, self.exploring = event.text, None
            case Done():
                self.done, self.exploring = True, None

    def change(self, key: Key) -> Change | None:
        """What the save changed in a scenario that was checked since; None where nothing, or all, is new."""
        old, new = self.before.get(key), self.now[key]
        if not self.before or (old is not None and verdict_text(old) == verdict_text(new)):
            return None
        return Change(key[0], old, new)

    def changes(self) -> list[Change]:
        """Of all scenarios that were checked since the save, in that order."""
        return [change for key in self.now if (change := self.change(key))]

    def in_scope(self, scope: str) -> list[Result]:
        """What was found in a scope since the save."""
        return [result for (of, _), result in self.now.items() if of == scope]

    def failing(self) -> list[Found]:
        """What does not hold, in the order in which it was found; a scenario that fails in several scopes in the first alone."""
        found: dict[str, Found] = {}
        for (scope, scenario), result in self.now.items():
            if result.verdict not in (Verdict.HOLDS, Verdict.NOT_APPLICABLE):
                found.setdefault(scenario, Found(scope, result))
        return list(found.values())
