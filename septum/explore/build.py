"""A model made ready to run: translated, compiled, and each scenario's first state and programs."""

from __future__ import annotations

import ctypes
import difflib
import functools
import inspect
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from septum.explore.explore import source
from septum.explore.libraries import WATCHED, Libraries
from septum.explore.unit import explored
from septum.lang import source as source_module
from septum.lang.engine import Engine
from septum.lang.errors import LanguageError, OutOfTime, SeptumError, UserError
from septum.lang.excused import Excused
from septum.lang.memory import MEMORY, STORE_BUFFER
from septum.lang.model import Model, Scenario, Setup, Thread
from septum.lang.paths import is_built_in, shown_path
from septum.lang.processes import MEASURING, property_of
from septum.lang.source import Source
from septum.lang.struct import allocate, fields, size_of
from septum.lang.types import Asked, Size, scope
from septum.lang.values import Num, Of, Ref, bits
from septum.reduce.alone import AloneTables
from septum.reduce.automorphism import Automorphisms
from septum.reduce.buffered import buffered
from septum.reduce.footprint import Footprints
from septum.reduce.meets import MeetingTables
from septum.translate.translation import Translation
from septum.translate.tree import Function, called

MAX_ARGUMENTS, MAX_CALLS, MOST_THREADS, MOST_WORLD = 8, 32, 32, 1 << 20
LANGUAGE = Path(source_module.__file__).parent
HIDDEN = (id(MEASURING), id(MEMORY))
"""Sizes that are no part of a scope as a reader sees it."""

ASSERTS, DEADLOCK, PROGRESS, RACE = "asserts", "deadlock", "progress", "race"


class _Call(ctypes.Structure):
    """call_t of runtime.h."""

    _fields_ = [("entry", ctypes.c_uint32), ("arguments", ctypes.c_uint64 * MAX_ARGUMENTS)]


@dataclass
class Build:
    """One scenario of a model under one scope; the library is compiled when it is first asked for.

    `sizes` are those that its world and what it runs are made of, or that were given. `ignored` are the sites that are not
    judged, as `judged` is the one property that is, or as they are `excepted`; `deadlocks`: whether these are. A step that
    reaches one of the events `wanted`, by their names, fails in the C engine.
    """

    model: Model
    scenario: Scenario
    bindings: Mapping[object, object]
    translation: Translation
    threads: tuple[Thread, ...]
    world: bytes
    sizes: tuple[Size, ...]
    _libraries: Libraries
    _tables: AloneTables | None = None
    _meetings: MeetingTables | None = None
    _automorphisms: Automorphisms | None = None
    _buffered: bytes = b""
    judged: str = ""
    ignored: frozenset[int] = field(default_factory=frozenset)
    excepted: frozenset[int] = field(default_factory=frozenset)
    deadlocks: bool = True
    wanted: frozenset[str] = field(default_factory=frozenset)

    def setting_aside(self, sites: Iterable[int], deadlocks: bool = False) -> Build:
        """The same without these sites, and, with `deadlocks`, without those."""
        excepted = self.excepted | {*sites}
        return replace(self, ignored=self.ignored | excepted, excepted=excepted, deadlocks=self.deadlocks and not deadlocks)

    @functools.cached_property
    def excused(self) -> Excused:
        """The places of what is ignored."""
        sites = self.translation.sites
        return Excused((sites[number].file, sites[number].line) for number in self.ignored)

    @property
    def initial(self) -> bytes:
        """The first state: the world as the scenario set it up, and all frames zero."""
        return self.world.ljust(self.translation.state_size, b"\0")

    @property
    def daemons(self) -> int:
        return sum(1 << number for number, thread in enumerate(self.threads) if thread.daemon)

    def library(self, part: str = "", quick: bool = False) -> ctypes.CDLL:
        """The compiled model with this scenario's programs, and the explorer with this part of it; `quick` is of Libraries."""
        return self._programmed(self._libraries.library(part, quick))

    def _programmed(self, library: ctypes.CDLL) -> ctypes.CDLL:
        for number, thread in enumerate(self.threads):
            calls = (_Call * len(thread.calls))()
            for slot, call in zip(calls, thread.calls, strict=True):
                slot.entry = self.translation.entry(call.process, len(call.arguments))
                slot.arguments[: len(call.arguments)] = call.arguments
            library.septum_program(number, len(thread.calls), calls)
        for site in range(len(self.translation.sites)):
            library.septum_ignore(site, site in self.ignored)
        wanted = (1 << number for number, one in enumerate(self.translation.witnesses) if one.name in self.wanted)
        library.septum_want(ctypes.c_uint64(sum(wanted)))
        library.septum_automorphisms(0, None)
        if self.translation.stores:
            library.septum_buffered(self.buffered)
        return library

    @property
    def buffered(self) -> bytes:
        """For each byte of the world the size of the scalar that begins there, if its stores go through store buffers."""
        if self.translation.stores and not self._buffered:
            with scope(self.bindings):
                self._buffered = buffered(self.footprints(), self.translation.bytes, self.translation.world_size)
        return self._buffered

    def reducible(self, watched: bool = False, quick: bool = False) -> ctypes.CDLL:
        """The library, with what it needs to reduce: footprints, and automorphisms; use it inside of `scope(build.bindings)`.

        With `watched` it also tells every access; `quick` is for who asks for a `better` one while it runs.
        """
        library = self.watched(quick) if watched else self.library(quick=quick)
        self.tables().give(library)
        self.automorphisms().give(library)
        return library

    def better(self, watched: bool = False) -> ctypes.CDLL | None:
        """What `reducible` gave, compiled better, once it is worth it and there; use it inside of `scope(build.bindings)`."""
        return self.reducible(watched) if self._libraries.better(WATCHED if watched else "") else None

    def automorphisms(self) -> Automorphisms:
        """Which threads of the scenario are alike; use it inside of `scope(build.bindings)`."""
        self._automorphisms = self._automorphisms or Automorphisms(self.translation, self.threads, self.world)
        return self._automorphisms

    def watched(self, quick: bool = False) -> ctypes.CDLL:
        """The model compiled so that it tells every access; use it inside of `scope(build.bindings)`."""
        library = self.library(WATCHED, quick)
        self.tables().give(library)
        self._meetings = self._meetings or self.tables().meetings(self.translation.bytes, self.translation.world_size)
        self._meetings.give(library)
        return library

    @property
    def own_locks(self) -> tuple[str, ...]:
        """The words that were taken for locks of the model's own, each with the place where it is taken."""
        return tuple(f"{one.text} ({Path(one.file).name}:{one.line})" for one in self.translation.own_locks.values())

    def tables(self) -> AloneTables:
        """The footprints as C reads them; use it inside of `scope(build.bindings)`."""
        self._tables = self._tables or AloneTables(self.footprints())
        return self._tables

    def footprints(self) -> Footprints:
        """What every step of the scenario may touch; use it inside of `scope(build.bindings)`."""
        m, memory = allocate(self.translation.layout)
        memory[:] = self.world[: len(memory)]
        return Footprints(self.translation, self.threads, m)

    def engine(self) -> Engine:
        """A run of the same scenario in Python; use it inside of `scope(build.bindings)`."""
        engine = Engine(self.translation, self.threads, self.world, self.buffered)
        engine.excused = self.excused
        return engine


Said = frozenset[tuple[object, object]]
"""What a scope says of sizes and slots, but for what they are anyway."""


def build(model: Model, scenario: Scenario, overrides: Mapping[str, int] | None = None, property: str = "") -> Build:
    """The scenario of the model, with sizes overridden by name and every property ignored but the one named."""
    overrides = overrides or {}
    memory: dict[object, object] = {size: overrides[size.name] for size in (MEMORY, STORE_BUFFER) if size.name in overrides}
    if memory and model.operations:  # what the TDX module has, and who owns a page, is no memory whose stores are buffered
        raise UserError(f"{model.name}: KVM's model is explored under --memory sc; x86-tso is for models of one's own")
    if memory:  # of the model, so that its scenarios are still translated together
        model = replace(model, bindings={**model.bindings, **memory})
    bindings = {**model.bindings, **scenario.bindings}
    known = [*bindings, *(size for one in model.scopes for size in one.sizes)]
    sizes = {size.name: size for size in known if isinstance(size, Size)}
    for name, value in overrides.items():
        if name not in sizes:
            raise UserError(
                f"{model.name}, {scenario.name}: has no {name} to set; it has {', '.join(sorted(sizes)) or 'no sizes'}"
            )
        bindings[sizes[name]] = value
    bindings = _resolved(bindings)
    with scope(bindings):
        return _build(model, scenario, bindings, property)


def sizes_given(model: Model, scenario: Scenario, name: str, sizes: Mapping[str, int | None]) -> dict[str, int]:
    """The sizes of the scope of that name, if there is a name, and over them those that are given; UserError for another name."""
    scopes = {one.name: one for one in model.scopes}
    if name and name not in scopes:
        raise UserError(f"{model.name} has no scope {name}; it has {', '.join(scopes) or 'none with a name'}")
    named = scopes[name].sizes_of(scenario) if name else {}
    return {**named, **{size: value for size, value in sizes.items() if value is not None}}


def _resolved(bindings: Mapping[object, object]) -> dict[object, object]:
    """Every size as a number, so that scopes can be compared."""
    with scope(bindings):
        return {key: key.value if isinstance(key, Size) else value for key, value in bindings.items()}


def together(model: Model) -> dict[Said, list[Scenario]]:
    """The scenarios that apply, by what they say of sizes: those with the same sizes are translated as one."""
    groups: dict[Said, list[Scenario]] = {}
    for one in model.scenarios:
        if one.needs <= model.operations:
            groups.setdefault(_said(_resolved({**model.bindings, **one.bindings})), []).append(one)
    return groups


def _said(bindings: Mapping[object, object]) -> Said:
    """Without the sizes that are what they would be if nothing were said of them."""
    usual: dict[object, object] = {}
    with scope(bindings):
        for key in bindings:
            if isinstance(key, Size):
                usual[key] = int(key.default()) if callable(key.default) else key.default
    return frozenset((key, value) for key, value in bindings.items() if key not in usual or usual[key] != value)


def _build(model: Model, scenario: Scenario, bindings: Mapping[object, object], property: str) -> Build:
    peers = together(model).get(_said(bindings), [])
    peers = peers if scenario in peers else [scenario]
    unit = _unit(model, bindings, peers)
    place = peers.index(scenario)
    built = Build(
        model, scenario, bindings, unit.translation, unit.threads[place], unit.worlds[place], unit.sizes, unit.libraries
    )
    built.judged = property
    built.ignored = frozenset(ignored_sites(unit.translation, property)) if property else frozenset()
    return built


def ignored_sites(translation: Translation, property: str) -> list[int]:
    """The assertions that belong to other properties; mistakes of the model itself are never ignored."""
    return [
        number for number, site in enumerate(translation.sites) if site.is_assertion and property_of(site.message) != property
    ]


@dataclass(frozen=True)
class _Unit:
    """One translation, which serves all scenarios of a model that have the same sizes."""

    model: Model
    bindings: Mapping[object, object]
    peers: tuple[str, ...]
    translation: Translation
    threads: list[tuple[Thread, ...]]
    worlds: list[bytes]
    sizes: tuple[Size, ...]
    libraries: Libraries


RECENT = 8
_recent: list[_Unit] = []


def _unit(model: Model, bindings: Mapping[object, object], peers: Sequence[Scenario]) -> _Unit:
    """The translation for these scenarios, if it was among the last that were made, or else a new one."""
    names = tuple(one.name for one in peers)
    for unit in _recent:
        if unit.model == model and unit.bindings == bindings and unit.peers == names:
            return unit
    asked = Asked(bindings)
    try:
        with scope(asked):
            translation, threads, worlds = _translated(model, peers)
    except RecursionError as error:
        raise UserError(f"{model.name}: {_deepest(error)}: too many expressions, blocks or calls in each other") from None
    libraries = Libraries(translation.code, all(one.few_states for one in peers))
    sizes = tuple(one for one in dict.fromkeys([*bindings, *asked.sizes]) if isinstance(one, Size) and id(one) not in HIDDEN)
    _recent[:] = [_Unit(model, bindings, names, translation, threads, worlds, sizes, libraries), *_recent[: RECENT - 1]]
    return _recent[0]


def _translated(model: Model, peers: Sequence[Scenario]) -> tuple[Translation, list[tuple[Thread, ...]], list[bytes]]:
    _check_world(model)
    translation = Translation(model.world, 1, model.file)
    worlds, programs = [], []
    for scenario in peers:
        m, memory = allocate(translation.layout)
        setup = Setup(m)
        _start(scenario, setup)
        _check_program(scenario, setup)
        worlds.append(bytes(memory[: translation.world_size]))
        programs.append(tuple(setup.threads))
        del m, setup, memory
    translation.threads = max(map(len, programs))
    for program in programs:
        for thread in program:
            for call in thread.calls:
                entry = translation.entries[translation.entry(call.process, len(call.arguments))]
                _check_arguments(entry, call.arguments)
    explored(translation, model.properties, source())
    _check_properties(model, translation)
    return translation, programs, worlds


def _deepest(error: RecursionError) -> str:
    """The line of the model that was read when there was no room to go deeper."""
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        source, line = getattr(frame.f_locals.get("r"), "source", None), getattr(frame.f_locals.get("node"), "lineno", None)
        if isinstance(source, Source) and line:
            found = f"{source.file}:{line}"
    return found or "its source"


def _check_properties(model: Model, translation: Translation) -> None:
    """UserError where an assertion of the user's own files belongs to none of the properties that the model declares, if any."""
    if not model.properties:
        return
    names = {ASSERTS, *(one.name for one in model.properties)}
    for site in translation.sites:
        if site.is_assertion and site.property not in names and not is_built_in(site.file):
            near = difflib.get_close_matches(site.property, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(names))}"
            raise UserError(f"{site.file}:{site.line}: {model.name} has no property {site.property}; {hint}\n    {site.text}")


def judges(built: Build, property: str) -> bool:
    """Whether anything that the scenario's threads run, or that the model declares, belongs to a property."""
    if property in (DEADLOCK, PROGRESS, RACE) or any(one.check and one.name == property for one in built.model.properties):
        return True
    translation = built.translation
    with scope(built.bindings):
        calls = [call for one in built.threads for call in one.calls]
        run = [translation.entries[translation.entry(call.process, len(call.arguments))] for call in calls]
    sources = [instance.source for instance in called(run)]
    return any(
        site.property == property
        and any(of.file == site.file and of.tree.lineno <= site.line <= (of.tree.end_lineno or 0) for of in sources)
        for site in translation.sites
    )


def _start(scenario: Scenario, setup: Setup) -> None:
    """Runs the start of a scenario; whatever goes wrong in it is the scenario's mistake, with file and line."""
    try:
        scenario.start(setup)
    except (LanguageError, KeyboardInterrupt, OutOfTime, MemoryError):
        raise
    except BaseException as error:  # sys.exit() is a mistake as any other
        frames = traceback.extract_tb(error.__traceback__)
        own = [one for one in frames if Path(one.filename).parent != LANGUAGE and not one.filename.startswith("<")]
        where = (own or frames)[-1]
        place = f"{shown_path(where.filename)}:{where.lineno}"
        what = f"{error}" if isinstance(error, SeptumError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{place}: {what}\n    {where.line}\n  in the start of {scenario.name}") from error


def _check_arguments(entry: Function, arguments: Sequence[int]) -> None:
    kinds = [(name, kind) for name, kind in entry.parameters.items() if not isinstance(kind, Ref)]
    for (name, kind), argument in zip(kinds, arguments, strict=True):
        limit = kind.scalar.limit if isinstance(kind, Of) else kind.hi + 1 if isinstance(kind, Num) else 0
        if not 0 <= argument < limit:
            of = kind.scalar.name if isinstance(kind, Of) else f"u{bits(kind)}"
            raise UserError(f"{entry.source.file}:{entry.source.tree.lineno}: {argument} does not fit {name}, a {of}")


def _check_world(model: Model) -> None:
    """A state that cannot be explored is refused before anything is made of it."""
    sizes = {name: size_of(of) for name, of in fields(model.world).items()}
    if sum(sizes.values()) > MOST_WORLD:
        largest = max(sizes, key=lambda name: sizes[name])
        line = inspect.getsourcelines(model.world)[1]
        place = f"{shown_path(inspect.getsourcefile(model.world) or '')}:{line}"
        many = f"{sum(sizes.values()):,} bytes, {sizes[largest]:,} of them in {largest}"
        raise UserError(f"{place}: a state of {model.world.__name__} has {many}; at most {MOST_WORLD:,} can be explored")


def _check_program(scenario: Scenario, setup: Setup) -> None:
    if not setup.threads:
        raise UserError(f"scenario {scenario.name}: no thread runs anything; call thread(name, call(process, ...))")
    if len(setup.threads) > MOST_THREADS:
        raise UserError(f"scenario {scenario.name}: has {len(setup.threads)} threads; at most {MOST_THREADS} are possible")
    for thread in setup.threads:
        if not 0 < len(thread.calls) <= MAX_CALLS:
            raise UserError(
                f"scenario {scenario.name}: {thread.name} makes {len(thread.calls)} calls; 1 to {MAX_CALLS} are possible"
            )
        if any(len(call.arguments) > MAX_ARGUMENTS for call in thread.calls):
            raise UserError(f"scenario {scenario.name}: {thread.name} calls with more than {MAX_ARGUMENTS} arguments")
