"""What the translator makes of a model: its functions, read where they are called, and what the numbers in the C mean.

Runs under the scope of the model (sizes, slots, operations), so that everything static is a number. unit.py writes the C.
"""

from __future__ import annotations

import ast
import ctypes
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from septum.lang.answers import FoundAgain
from septum.lang.frames import Frames
from septum.lang.measure import ANSWERED, BENEATH, ENTERED, MEASURED_CALLS, Place
from septum.lang.memory import BOUND_MET, buffer_bytes, stores
from septum.lang.model import Property
from septum.lang.places import Places
from septum.lang.processes import MEASURING, Meter, Witness, is_process
from septum.lang.replaced import meant
from septum.lang.source import Source, source_of
from septum.lang.struct import Realised, Struct, realise, resolve
from septum.lang.types import Array, Scalar, type_name
from septum.lang.values import Kind, Nothing, Ref, kind_of, stored
from septum.translate.own_locks import Name, OwnLock, own_locks
from septum.translate.read import read
from septum.translate.reader import Around
from septum.translate.sites import Named, Site
from septum.translate.tree import Expression, Function, called

Item = TypeVar("Item")


_read: dict[object, defaultdict[tuple[Any, ...], FoundAgain[Function]]] = {}
"""Every function that was read, by what its reader goes by, the function itself, and the kinds of its arguments."""


class Numbered(list[Item]):
    """What the numbers of one sort in the C stand for."""

    def __init__(self) -> None:
        self._numbers: dict[Item, int] = {}

    def number(self, item: Item) -> int:
        """The number of an item, the next one where it has none."""
        if item not in self._numbers:
            self._numbers[item] = len(self)
            self.append(item)
        return self._numbers[item]


class Translation:
    """A model under a scope; `code` is its C once a unit was written. Of what its C numbers, `sites` can fail, `named` are
    the expressions that name a scalar of the state, `places` (from 1) the lines and `entered` the functions measured.
    """

    def __init__(self, world: type[Struct], threads: int, covered_file: Path | None = None) -> None:
        self.world, self.threads, self.covered_file = world, threads, covered_file
        self.measuring, self.stores = bool(MEASURING.value), stores()
        self.measured_calls: tuple[str, ...] = MEASURED_CALLS
        self.entries: list[Function] = []
        self.properties: list[Function] = []
        self.always: list[Function] = []
        self.own_locks: dict[Name, OwnLock] = {}
        self.code, self.frame_size, self.buffers, self.state_size = "", 0, 0, 0
        self.realised: dict[object, Any] = {}
        self.layout: type[Realised] = realise(world, self.realised)
        self.bytes = Places(world, self.realised)
        self.world_size = (ctypes.sizeof(self.layout) + 7) // 8 * 8
        self.reference_bits = 32 if self.world_size < 1 << 32 else 64
        self._named = Numbered[Function]()
        self._functions: dict[tuple[Any, ...], Function] = {}
        self._in_progress: list[tuple[Any, ...]] = []
        self.sites, self.named = Numbered[Site](), Numbered[Named]()
        self.witnesses, self.meters = Numbered[Witness](), Numbered[Meter]()
        if self.stores:
            self.witnesses.number(BOUND_MET)
        self.places, self.entered, self.covered_lines = Numbered[Place](), Numbered[str](), Numbered[int]()
        self._names: dict[object, str] = {}
        self.types: list[str] = []
        self.c_kinds: dict[Kind, str] = {}
        self._around = Around(world, self.reference_bits, self.measuring, bool(self.stores), self.bytes.fields, self._called)
        by = world, self.reference_bits, self.measuring, bool(self.stores)
        self._known = _read.setdefault(by, defaultdict(FoundAgain))
        self.c_name(world)

    # -- functions

    @property
    def functions(self) -> list[Function]:
        """Those that the threads run and the properties call, each after those that it calls."""
        return called([*self.entries, *self.properties])

    def name(self, function: Function) -> str:
        """What a function is called in the C."""
        return f"f{self._named.number(function)}_{function.source.name.lstrip('_')}"

    def is_world(self, kind: Kind) -> bool:
        """Whether a value refers to the world, and so needs no variable."""
        return isinstance(kind, Ref) and kind.to is self.world

    def function(self, function: Callable[..., Any], kinds: Sequence[Kind]) -> Function:
        """The tree of `function` for these kinds of its arguments."""
        source = source_of(function)
        return self._read(source, source.tree, source, kinds)

    def _called(self, caller: Source, node: ast.AST, function: Callable[..., Any], arguments: Sequence[Expression]) -> Function:
        return self._read(
            caller, node, source_of(meant(function, caller.function.__code__)), [argument.kind for argument in arguments]
        )

    def _read(self, caller: Source, node: ast.AST, source: Source, kinds: Sequence[Kind]) -> Function:
        annotations = source.function.__annotations__
        names = [argument.arg for argument in source.tree.args.args]
        told_apart = (None if name in annotations else stored(kind) for name, kind in zip(names, kinds, strict=False))
        key = (source.function, *told_apart)
        if key in self._in_progress:
            caller.refuse(node, f"{source.name} calls itself", "a loop")
        if self._in_progress or key not in self._functions:
            self._in_progress.append(key)
            self._functions[key] = self._known[key].get(lambda: read(self._around, source, kinds))
            self._in_progress.pop()
        found = self._functions[key]
        if len(found.parameters) != len(kinds):
            caller.refuse(node, f"{source.name} takes {len(found.parameters)} arguments, not {len(kinds)}")
        return found

    def entry(self, process: Callable[..., Any], arguments: int) -> int:
        """The number by which a thread's program calls a process; its parameters need annotations, but the world."""
        process = meant(process)
        source = source_of(process)
        if not is_process(process):
            source.refuse(source.tree, f"{source.name} is run by a thread and is no process", "@process before its def")
        names = [argument.arg for argument in source.tree.args.args][1:]
        if len(names) != arguments:
            source.refuse(source.tree, f"{source.name} takes {len(names)} arguments and is given {arguments}")
        missing = [name for name in names if name not in process.__annotations__]
        if missing:
            reason = f"a process that a thread runs says the types of its parameters; {missing[0]} has none"
            source.refuse(source.tree, reason, f"{missing[0]}: u8")
        function = self.called_from_outside(process)
        if function not in self.entries:
            self.entries.append(function)
        return self.entries.index(function)

    def called_from_outside(self, function: Callable[..., Any]) -> Function:
        """A function that is given the world, and numbers whose types it says."""
        source = source_of(function)
        annotations = source.annotations()
        kinds: list[Kind] = [Ref(self.world)]
        for argument in source.tree.args.args[1:]:
            of = resolve(annotations[argument.arg], f"{source.file}:{source.tree.lineno}")
            if not isinstance(of, Scalar):
                reason = f"a thread gives numbers, and {argument.arg} is {type_name(of)}"
                source.refuse(source.tree, reason, f"{argument.arg}: u8")
            kinds.append(kind_of(of))
        return self.function(function, kinds)

    def frames(self, process: Callable[..., Any], arguments: int) -> Frames:
        """Where a process that a thread calls with so many numbers may stand."""
        frames = self.entries[self.entry(process, arguments)].frames
        assert frames
        return frames

    def judge(self, properties: Iterable[Property]) -> None:
        """Reads the properties, recognises the locks of threads, and lays out the states."""
        for one in properties:
            if one.check:
                function = self.function(one.check, [Ref(self.world)])
                if function.is_process or function.changes or not isinstance(function.returns, Nothing):
                    reason = f"the property {one.name} must be a routine that only reads and asserts"
                    function.source.refuse(function.source.tree, reason, "assert ... in a routine")
                self.properties.append(function)
                self.always += [] if one.at_rest else [function]
        self.own_locks = own_locks(self.entries)
        self.frame_size = 2 + max((entry.frames.size for entry in self.entries if entry.frames), default=0)
        self.buffers = self.world_size + self.threads * self.frame_size
        self.state_size = (self.buffers + self.threads * buffer_bytes(self.stores) + 7) // 8 * 8

    # -- numbers in the C

    def place(self, source: Source, line: int) -> int | None:
        """The number of a line that is named in measurements, from 1; None if the build does not measure, or for other files."""
        if not self.measuring or source.function.__module__.startswith(BENEATH):
            return None
        return 1 + self.places.number(Place(source.name, source.file, line, source.text(line)))

    def entry_meter(self, source: Source) -> tuple[int, int, int] | None:
        """The meters that note the entry and the answer of a function whose calls are measured, and its number."""
        if not self.measuring or not source.name.startswith(self.measured_calls):
            return None
        return self.meters.number(ENTERED), self.meters.number(ANSWERED), self.entered.number(source.name)

    def coverage_point(self, source: Source, line: int) -> int | None:
        """The number of a line of the file whose lines are counted; None for other files."""
        if self.covered_file is None or source.function.__code__.co_filename != str(self.covered_file):
            return None
        return self.covered_lines.number(line)

    def c_name(self, of: object) -> str:
        """The C type of a language type, declared on first use."""
        if isinstance(of, Scalar):
            return f"uint{of.bits}_t"
        if of not in self._names:
            self._names[of] = "world_t" if of is self.world else f"t{len(self._names)}_{_identifier(type_name(of))}"
            self.types.append(self._declaration(of))
        return self._names[of]

    def _declaration(self, of: Any) -> str:
        name, size = self._names[of], self.bytes.size(of)
        if isinstance(of, Array):
            body = f"{self.c_name(of.element)} at[{of.length}];"
        else:
            body = " ".join(f"{self.c_name(part)} {c_field(field)};" for field, part in self.bytes.fields(of).items())
        return f'typedef struct {name} {{ {body} }} {name};\n_Static_assert(sizeof({name}) == {size}ull, "{name}");'


OF_C = frozenset((
    "alignas", "alignof", "asm", "auto", "bool", "case", "char", "const", "constexpr", "default", "do", "double", "enum",
    "extern", "false", "float", "goto", "inline", "int", "linux", "long", "nullptr", "register", "restrict", "short",
    "signed", "sizeof", "static", "struct", "switch", "thread_local", "true", "typedef", "typeof", "union", "unix",
    "unsigned", "void", "volatile", "i386",
))  # fmt: skip
"""Names of Python's that are keywords of C, or that compilers define."""


def c_field(name: str) -> str:
    """The name of a field in C: its own, unless C has a meaning for that."""
    return f"{name}_" if name.rstrip("_") in OF_C else name


def _identifier(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name)
