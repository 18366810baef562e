"""A model: a world, what must hold in it, and scenarios, which say who runs what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from septum.lang.errors import UserError
from septum.lang.processes import Witness
from septum.lang.replaced import original
from septum.lang.struct import Struct
from septum.lang.types import Size, Slot


@dataclass(frozen=True)
class Property:
    """What must hold after every step: a routine over the world whose assertions are its clauses.

    With `at_rest` it must hold only when every thread has ended. A message "custody: page freed twice" belongs to the property
    custody, wherever in the model the assertion stands.
    """

    name: str
    title: str
    check: Callable[[Any], None] | None = None
    at_rest: bool = False


@dataclass(frozen=True)
class Call:
    """A process and the numbers it is called with, one item of a thread's program."""

    process: Callable[..., Any]
    arguments: tuple[int, ...] = ()


def call(process: Callable[..., Any], *arguments: int) -> Call:
    """`process` with these arguments, after the world."""
    return Call(original(process), tuple(int(argument) for argument in arguments))


@dataclass(frozen=True)
class Thread:
    """A CPU: the calls that it makes one after another. A daemon may wait for ever without a deadlock."""

    name: str
    calls: tuple[Call, ...]
    daemon: bool = False


@dataclass
class Setup:
    """What a scenario fills in: the world at the start, all zero at first, and the threads."""

    m: Any
    threads: list[Thread] = field(default_factory=list)

    def thread(self, name: str, *calls: Call, daemon: bool = False) -> None:
        """One more thread; it makes `calls` in order."""
        if not all(isinstance(one, Call) for one in calls):
            raise UserError(f"thread {name} wants call(process, ...), one for each of what it does in turn")
        if any(one.name == name for one in self.threads):
            raise UserError(f"two threads are called {name}; give each a name of its own, as f'CPU {{number}}'")
        self.threads.append(Thread(name, calls, daemon))


@dataclass(frozen=True)
class Scenario:
    """Who runs what: `start` fills a Setup, plain Python that runs once under the scope of `bindings`.

    `witnesses` are the events that must be reachable; `needs` names the operations that a design must have; `least` are the sizes
    below which a scope with a name does not take it. With `few_states` it takes longer to compile than to explore: no
    optimisation.
    """

    name: str
    title: str
    start: Callable[[Setup], None]
    witnesses: tuple[Witness, ...] = ()
    bindings: Mapping[object, object] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    least: Mapping[Size, int] = field(default_factory=dict)
    few_states: bool = False

    def __post_init__(self) -> None:
        if not callable(self.start):
            raise UserError(f"scenario {self.name}: its start is a function that fills a Setup, and not {self.start!r}")
        if not isinstance(self.witnesses, tuple) or not all(isinstance(one, Witness) for one in self.witnesses):
            raise UserError(f"scenario {self.name}: its witnesses are a tuple of Witness: (emptied,)")
        check_bindings(f"scenario {self.name}", self.bindings)


@dataclass(frozen=True)
class Scope:
    """Sizes with a name: `--scope NAME` takes them in the place of those that a scenario has."""

    name: str
    title: str
    sizes: Mapping[Size, int]

    def sizes_of(self, scenario: Scenario) -> dict[str, int]:
        """The sizes by name that a scenario has in this scope."""
        return {size.name: max(value, scenario.least.get(size, value)) for size, value in self.sizes.items()}


@dataclass(frozen=True)
class Model:
    """Everything that a check needs; `file` is the one whose unexecuted lines are reported."""

    name: str
    world: type[Struct]
    scenarios: tuple[Scenario, ...] = ()
    properties: tuple[Property, ...] = ()
    bindings: Mapping[object, object] = field(default_factory=dict)
    operations: frozenset[str] = frozenset()
    file: Path | None = None
    scopes: tuple[Scope, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.world, type) or not issubclass(self.world, Struct):
            raise UserError(f"{self.name}: the world of a Model is a Struct, and not {self.world!r}")
        for what, items, of in (
            ("scenarios", self.scenarios, Scenario), ("properties", self.properties, Property), ("scopes", self.scopes, Scope),
        ):  # fmt: skip
            if not isinstance(items, tuple) or not all(isinstance(item, of) for item in items):
                raise UserError(f"{self.name}: the {what} of a Model are a tuple of {of.__name__}: ({of.__name__}(...),)")
        for what, names in (("scenarios", [one.name for one in self.scenarios]), ("scopes", [one.name for one in self.scopes])):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise UserError(f"{self.name}: two {what} are called {twice}; give each a name of its own")
        check_bindings(self.name, self.bindings)


def check_bindings(whose: str, bindings: Mapping[Any, object]) -> None:
    """UserError for a size that is given by its name: it would have no effect."""
    for key in bindings:
        if not isinstance(key, Size | Slot) and not callable(key):
            raise UserError(
                f"{whose}: {key!r} is no Size: give the Size itself, which is imported like any other name, and not its name"
            )
