"""A whole model in C: its structs, its processes, its properties, its tables; one translation unit with the explorer.

Runs under the scope of the model (sizes, slots, operations), so that everything static is a number.
"""

from __future__ import annotations

import ast
import ctypes
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from septum.lang.functions import Instance
from septum.lang.measure import BENEATH, ENTERED, MEASURED_CALLS, Place
from septum.lang.model import Property
from septum.lang.processes import MEASURING, Meter, Witness, is_process, property_of
from septum.lang.source import Source, source_of
from septum.lang.statements import c_of
from septum.lang.struct import Realised, Struct, fields, realise, resolve
from septum.lang.symmetry import symmetry_tables
from septum.lang.types import Array, Index, Scalar, type_name
from septum.lang.values import Kind, Nothing, Ref, kind_of, stored

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Site:
    """A place of the source that can fail: an assertion, or a check of the language itself."""

    kind: str
    message: str
    file: str
    line: int
    text: str

    @property
    def is_assertion(self) -> bool:
        return self.kind in ("assert", "warn_on", "bug_on")

    @property
    def property(self) -> str:
        """The property that an assertion belongs to, by the word before the colon of its message."""
        return property_of(self.message)


@dataclass(frozen=True)
class Named:
    """Where the source names a scalar of the state."""

    file: str
    line: int
    function: str
    text: str


class Translation:
    """What the translator makes of a model; `code` is its C, the rest says what the numbers in it mean."""

    def __init__(self, world: type[Struct], threads: int, covered_file: Path | None = None) -> None:
        self.measuring = bool(MEASURING.value)
        self.meters: list[Meter] = []
        self.places: list[Place] = []
        self.entered: list[str] = []
        self.world, self.threads, self.covered_file = world, threads, covered_file
        self.sites: list[Site] = []
        self.witnesses: list[Witness] = []
        self.named: list[Named] = []
        self.covered_lines: list[int] = []
        self.entries: list[Instance] = []
        self.properties: list[Instance] = []
        self.always: list[Instance] = []
        self.thread_types: set[Index] = set()
        self.code, self.frame_size, self.state_size = "", 0, 0
        self.realised: dict[object, Any] = {}
        self.layout: type[Realised] = realise(world, self.realised)
        self.world_size = (ctypes.sizeof(self.layout) + 7) // 8 * 8
        self.reference_bits = 32 if self.world_size < 1 << 32 else 64
        self._instances: dict[tuple[Any, ...], Instance] = {}
        self._in_progress: list[tuple[Any, ...]] = []
        self._site_numbers: dict[tuple[Any, ...], int] = {}
        self._named_numbers: dict[Named, int] = {}
        self._place_numbers: dict[tuple[str, str, int], int] = {}
        self._fields: dict[object, dict[str, object]] = {}
        self._names: dict[object, str] = {}
        self._types: list[str] = []
        self.c_name(world)

    @property
    def instances(self) -> list[Instance]:
        """Every function translated so far."""
        return list(self._instances.values())

    # -- what the functions ask for

    def fields(self, struct: Any) -> dict[str, object]:
        if struct not in self._fields:
            self._fields[struct] = fields(struct)
        return self._fields[struct]

    def site(self, source: Source, node: ast.AST, kind: str, message: str) -> int:
        """The number of a place that can fail."""
        line = getattr(node, "lineno", source.tree.lineno)
        key = (source.file, line, getattr(node, "col_offset", 0), kind, message)
        if key not in self._site_numbers:
            self._site_numbers[key] = len(self.sites)
            self.sites.append(Site(kind, message, source.file, line, source.text(line)))
        return self._site_numbers[key]

    def name(self, source: Source, node: ast.expr) -> int:
        """The number of an expression that names a scalar of the state."""
        named = Named(source.file, node.lineno, source.name, ast.unparse(node))
        if named not in self._named_numbers:
            self._named_numbers[named] = len(self.named)
            self.named.append(named)
        return self._named_numbers[named]

    def witness(self, witness: Witness) -> int:
        if witness not in self.witnesses:
            self.witnesses.append(witness)
        return self.witnesses.index(witness)

    def meter(self, meter: Meter) -> int:
        if meter not in self.meters:
            self.meters.append(meter)
        return self.meters.index(meter)

    def place(self, source: Source, line: int) -> int | None:
        """The number of a line that is named in measurements, from 1; None if the build does not measure, or for other files."""
        if not self.measuring or source.function.__module__.startswith(BENEATH):
            return None
        key = (source.name, source.file, line)
        if key not in self._place_numbers:
            self.places.append(Place(*key, source.text(line)))
            self._place_numbers[key] = len(self.places)
        return self._place_numbers[key]

    def entry_meter(self, source: Source) -> str | None:
        """The C that notes the entry of a function whose calls are measured."""
        if not self.measuring or not source.name.startswith(MEASURED_CALLS):
            return None
        if source.name not in self.entered:
            self.entered.append(source.name)
        return f"observe(c, w, {self.meter(ENTERED)}, {self.entered.index(source.name)})"

    def coverage_point(self, source: Source, line: int) -> int | None:
        """The number of a line of the file whose lines are counted; None for other files."""
        if self.covered_file is None or source.function.__code__.co_filename != str(self.covered_file):
            return None
        if line not in self.covered_lines:
            self.covered_lines.append(line)
        return self.covered_lines.index(line)

    def instance(
        self, caller: Source | None, node: ast.AST | None, function: Callable[..., Any], arguments: Sequence[Any]
    ) -> Instance:
        """The translation of `function` for these arguments (Values or Kinds), made once."""
        source = source_of(function)
        kinds: list[Kind] = [getattr(argument, "kind", argument) for argument in arguments]
        annotations = function.__annotations__
        names = [argument.arg for argument in source.tree.args.args]
        key = (function, *(None if name in annotations else stored(kind) for name, kind in zip(names, kinds, strict=False)))
        if key in self._in_progress:
            (caller or source).refuse(node or source.tree, f"{source.name} calls itself", "a loop")
        if key not in self._instances:
            self._in_progress.append(key)
            self._instances[key] = Instance(
                self, source, f"f{len(self._instances) + len(self._in_progress)}_{source.name.lstrip('_')}", kinds
            )
            self._in_progress.pop()
        found = self._instances[key]
        if len(found.parameters) != len(kinds):
            (caller or source).refuse(
                node or source.tree, f"{source.name} takes {len(found.parameters)} arguments, not {len(kinds)}"
            )
        return found

    def c_name(self, of: object) -> str:
        """The C type of a language type, declared on first use."""
        if isinstance(of, Scalar):
            return f"uint{of.bits}_t"
        if of not in self._names:
            self._names[of] = "world_t" if of is self.world else f"t{len(self._names)}_{_identifier(type_name(of))}"
            self._types.append(self._declaration(of))
        return self._names[of]

    def _declaration(self, of: Any) -> str:
        name, size = self._names[of], ctypes.sizeof(realise(of, self.realised))
        if isinstance(of, Array):
            body = f"{self.c_name(of.element)} at[{of.length}];"
        else:
            body = " ".join(f"{self.c_name(field_type)} {field_name};" for field_name, field_type in self.fields(of).items())
        return f'typedef struct {name} {{ {body} }} {name};\n_Static_assert(sizeof({name}) == {size}ull, "{name}");'

    # -- the whole

    def entry(self, process: Callable[..., Any], arguments: int) -> int:
        """The number by which a thread's program calls a process; its parameters need annotations, but the world."""
        source = source_of(process)
        if not is_process(process):
            source.refuse(source.tree, f"{source.name} is run by a thread and is no process", "@process before its def")
        names = [argument.arg for argument in source.tree.args.args][1:]
        if len(names) != arguments:
            source.refuse(source.tree, f"{source.name} takes {len(names)} numbers and is given {arguments}")
        missing = [name for name in names if name not in process.__annotations__]
        if missing:
            source.refuse(
                source.tree,
                f"a process that a thread runs says the types of its parameters; {missing[0]} has none",
                f"{missing[0]}: u8",
            )
        kinds = [kind_of(_scalar(source, process, name)) for name in names]
        instance = self.instance(None, None, process, [Ref(self.world), *kinds])
        if instance not in self.entries:
            self.entries.append(instance)
        return self.entries.index(instance)

    def finish(self, properties: Sequence[Property], explorer: str) -> str:
        """The C of everything, with the explorer behind it."""
        checks = [self._property(one) for one in properties if one.check]
        self.frame_size = 2 + max((entry.frame_size for entry in self.entries), default=0)
        self.state_size = (self.world_size + self.threads * self.frame_size + 7) // 8 * 8
        parts = [
            *self._functions([*self.entries, *self.properties]), self._enter(), self._check(properties, checks),
            (HERE / "threads.c").read_text(), (HERE / "footprints.c").read_text(),
            (HERE / "watch.c").read_text(), symmetry_tables(self), (HERE / "symmetry.c").read_text(),
            (HERE / "automorphisms.c").read_text(), explorer,
        ]  # fmt: skip
        self.code = "\n".join(parts)
        return self.code

    def library(self, routines: Mapping[str, Callable[..., Any]], program: str) -> str:
        """The C of a program that calls routines itself, each by the name it is given here; no threads, and no explorer.

        A routine's parameters need annotations, but the world. It is called with the context, the world and its numbers.
        """
        called = {name: self._routine(function) for name, function in routines.items()}
        names = "\n".join(f"#define {name} {instance.name}" for name, instance in called.items())
        self.code = "\n".join([*self._functions([*called.values()]), names, program])
        return self.code

    def _routine(self, function: Callable[..., Any]) -> Instance:
        source = source_of(function)
        names = [argument.arg for argument in source.tree.args.args][1:]
        return self.instance(
            None, None, function, [Ref(self.world), *(kind_of(_scalar(source, function, name)) for name in names)]
        )

    def _functions(self, roots: Sequence[Instance]) -> list[str]:
        """What every unit begins with: the runtime, the structs, and the functions that are called from `roots`."""
        used = self.used(roots)
        functions = [instance for instance in self.instances if instance in used]
        return [
            (HERE / "runtime.h").read_text(), self._constants(), "\n".join(self._types),
            (HERE / "measure.c").read_text() if self.measuring else "",
            "\n".join(instance.signature + " __attribute__((unused));" for instance in functions),
            "\n".join(instance.text for instance in functions),
        ]  # fmt: skip

    def used(self, roots: Sequence[Instance]) -> set[Instance]:
        """The functions that are called from `roots`, with these."""
        texts = {instance.name: instance for instance in self._instances.values()}
        todo = [*roots]
        used: set[Instance] = set()
        while todo:
            instance = todo.pop()
            if instance not in used:
                used.add(instance)
                todo += [texts[name] for name in instance.called if name in texts]
        return used

    def _property(self, one: Property) -> Instance:
        assert one.check is not None
        instance = self.instance(None, None, one.check, [Ref(self.world)])
        source = instance.source
        if instance.is_process or instance.changes or not isinstance(instance.returns, Nothing):
            source.refuse(
                source.tree, f"the property {one.name} must be a routine that only reads and asserts", "assert ... in a routine"
            )
        self.properties.append(instance)
        if not one.at_rest:
            self.always.append(instance)
        return instance

    def _constants(self) -> str:
        choices = any(point.kind == "choose" for instance in self._instances.values() for point in instance.points)
        return "\n".join([
            f"#define WORLD_SIZE {self.world_size}ull", f"#define STATE_SIZE {self.state_size}ull",
            f"#define FRAME_SIZE {self.frame_size}", f"#define MAX_THREADS {self.threads}",
            f"#define WITNESSES {len(self.witnesses)}", f"#define COVERAGE {len(self.covered_lines)}",
            *(["#define MEASURING"] if self.measuring else []),
            f"#define HAS_CHOICES {int(choices)}", f"static uint8_t model_ignored[{len(self.sites) + 1}];",
            f"static uint8_t model_covered[{len(self.covered_lines) + 1}];",
        ])  # fmt: skip

    def _enter(self) -> str:
        cases = []
        for number, entry in enumerate(self.entries):
            kinds = [kind for kind in entry.parameters.values() if not isinstance(kind, Ref)]
            arguments = [f"({c_of(self, kind)})call->arguments[{i}]" for i, kind in enumerate(kinds)]
            cases.append(f"    case {number}: return {entry.name}({', '.join(['c', 'w', 'in', 'out', *arguments])});")
        parameters = "context_t *c, world_t *w, const uint8_t *in, uint8_t *out, const call_t *call"
        head = f"static int enter({parameters})\n{{\n    switch (call->entry) {{"
        return "\n".join(
            [head, *cases, "    default: (void)c; (void)w; (void)in; (void)out; return STEP_RETURNED;", "    }", "}", ""]
        )

    def _check(self, properties: Sequence[Property], checks: Sequence[Instance]) -> str:
        described = [one for one in properties if one.check]
        calls = [
            f"    {'if (at_rest) ' if one.at_rest else ''}{check.name}(c, w);"
            for one, check in zip(described, checks, strict=True)
        ]
        head = "static void check_properties(context_t *c, world_t *w, int at_rest)\n{\n    (void)c; (void)w; (void)at_rest;"
        return "\n".join([head, *calls, "}", ""])


def _scalar(source: Source, process: Callable[..., Any], name: str) -> Scalar:
    """The type of a parameter that a thread's program gives."""
    of = resolve(inspect.get_annotations(process, eval_str=True)[name], f"{source.file}:{source.tree.lineno}")
    if not isinstance(of, Scalar):
        source.refuse(source.tree, f"a thread gives numbers, and {name} is {type_name(of)}", f"{name}: u8")
    return of


def _identifier(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name)
