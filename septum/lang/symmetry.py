"""The tables of the symmetry reduction: where in a state the values of a scalarset stand, and which elements belong to one."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from septum.lang.errors import UserError
from septum.lang.functions import Instance
from septum.lang.struct import realise
from septum.lang.types import Array, Index, Packed, Scalar
from septum.lang.values import Kind, Num, Of, Ref

if TYPE_CHECKING:
    from septum.lang.translate import Translation

DECLARATIONS = """
enum { PLACE_NUMBER, PLACE_PACKED, PLACE_REFERENCE };
typedef struct place { uint64_t offset, mask; uint8_t bytes, kind, set, low; } place_t;
typedef struct member { uint64_t offset; uint32_t stride, set, count; const place_t *places; } member_t;
typedef struct scalarset { uint32_t first, limit; } scalarset_t;
"""


@dataclass(frozen=True)
class Place:
    """A value of a scalarset in the state: a number, some bits of a word, or a reference into an element."""

    offset: int
    bytes: int
    kind: str
    index: Index | None = None
    low: int = 0
    mask: int = 0

    def c(self, sets: list[Index]) -> str:
        number = sets.index(self.index) if self.index else 0
        return f"{{ {self.offset}ull, {self.mask:#x}ull, {self.bytes}, PLACE_{self.kind}, {number}, {self.low} }}"


def is_scalarset(index: Index) -> bool:
    return index.scalarset and index.fixed < index.limit


def of_scalar(scalar: Scalar, offset: int) -> Iterator[Place]:
    if isinstance(scalar, Packed) and is_scalarset(scalar.index):
        yield Place(offset, 8, "PACKED", scalar.index, scalar.low, (1 << scalar.high - scalar.low) - 1)
    if isinstance(scalar, Index) and is_scalarset(scalar):
        yield Place(offset, scalar.bits // 8, "NUMBER", scalar)


def of_kind(kind: Kind, offset: int, reference_bits: int) -> Iterator[Place]:
    if isinstance(kind, Ref):
        yield Place(offset, reference_bits // 8, "REFERENCE")
    elif isinstance(kind, Num) and kind.packed:
        yield from of_scalar(kind.packed, offset)
    elif isinstance(kind, Of):
        yield from of_scalar(kind.scalar, offset)


class Tables:
    """Walks the types of a model and collects its places."""

    def __init__(self, unit: Translation) -> None:
        self.unit = unit
        self.members: list[tuple[int, int, Index, list[Place]]] = []
        self.world = list(self._places(unit.world, 0, True))
        used = {place.index for place in self.world if place.index} | {member[2] for member in self.members}
        used |= {place.index for member in self.members for place in member[3] if place.index}
        for instance in unit.instances:
            for point in instance.points:
                used |= {place.index for saved in point.saved for place in of_kind(saved.kind, 0, 32) if place.index}
        self.sets = sorted(used, key=lambda index: index.name)

    def _places(self, of: object, offset: int, top: bool) -> Iterator[Place]:
        if isinstance(of, Scalar):
            yield from of_scalar(of, offset)
        elif isinstance(of, Array):
            yield from self._elements(of, offset, top)
        else:
            layout = realise(of, self.unit.realised)
            for name, field_type in self.unit.fields(of).items():
                yield from self._places(field_type, offset + getattr(layout, name).offset, top)

    def _elements(self, of: Array, offset: int, top: bool) -> Iterator[Place]:
        stride = ctypes.sizeof(realise(of.element, self.unit.realised))
        if of.index and is_scalarset(of.index):
            if not top:
                raise UserError(
                    f"{of}: an array indexed by a scalarset may not lie inside of another array; move it to the world"
                )
            self.members.append((offset, stride, of.index, list(self._places(of.element, 0, False))))
            return
        if next(self._places(of.element, 0, False), None) is None:
            return
        for place in range(of.length):
            yield from self._places(of.element, offset + place * stride, False)


def symmetry_tables(unit: Translation) -> str:
    """The C tables that symmetry.c walks."""
    tables = Tables(unit)
    sets = tables.sets
    if not sets:
        return "#define SCALARSETS 0\n"
    lines = [DECLARATIONS, f"#define SCALARSETS {len(sets)}", f"#define MEMBERS {len(tables.members)}",
             f"#define WORLD_PLACES {len(tables.world)}",
             f"#define SCALARSET_LIMIT {max([index.limit for index in sets], default=1)}"]  # fmt: skip
    lines.append(_array("scalarset_t", "scalarsets", [f"{{ {index.fixed}, {index.limit} }}" for index in sets]))
    lines.append(_array("place_t", "world_places", [place.c(sets) for place in tables.world]))
    members = []
    for number, (offset, stride, index, places) in enumerate(tables.members):
        lines.append(_array("place_t", f"member_places_{number}", [place.c(sets) for place in places]))
        members.append(f"{{ {offset}ull, {stride}, {sets.index(index)}, {len(places)}, member_places_{number} }}")
    lines.append(_array("member_t", "members", members))
    lines += [_visitor(unit, instance, sets) for instance in _in_call_order(unit)]
    return "\n".join([*lines, _roots(unit)])


def _array(of: str, name: str, items: list[str]) -> str:
    return f"static const {of} {name}[{len(items) + 1}] = {{ {', '.join([*items, '{ 0 }'])} }};"


def _in_call_order(unit: Translation) -> list[Instance]:
    """The processes, callees first."""
    order: list[Instance] = []

    def add(instance: Instance) -> None:
        if instance not in order:
            for point in instance.points:
                if point.callee:
                    add(point.callee)
            order.append(instance)

    for entry in unit.entries:
        add(entry)
    return order


VISIT = "void (*visit)(void *, const uint8_t *, const place_t *, uint32_t), void *with"


def _visitor(unit: Translation, instance: Instance, sets: list[Index]) -> str:
    tables, cases = [], []
    for point in instance.points:
        places = [place for saved in point.saved for place in of_kind(saved.kind, saved.offset, unit.reference_bits)]
        actions = []
        if places:
            tables.append(_array("place_t", f"{instance.name}_{point.number}", [place.c(sets) for place in places]))
            actions.append(f"visit(with, at, {instance.name}_{point.number}, {len(places)});")
        if point.callee:
            actions.append(f"visit_{point.callee.name}(at + {point.end}, visit, with);")
        if actions:
            cases.append(f"    case {point.number}: {' '.join(actions)} break;")
    head = (
        f"static void visit_{instance.name}(const uint8_t *at, {VISIT})\n{{\n    (void)visit; (void)with;\n    switch (at[0]) {{"
    )
    return "\n".join([*tables, head, *cases, "    default: break;", "    }", "}"])


def _roots(unit: Translation) -> str:
    cases = [
        f"        case {number}: visit_{entry.name}(frame + 1, visit, with); break;" for number, entry in enumerate(unit.entries)
    ]
    return "\n".join([
        f"static void frame_visit(const uint8_t *frame, unsigned thread, {VISIT})", "{", "    (void)visit; (void)with;",
        "    if (frame[0] != ENDED && frame[1])", "        switch (model_program[thread].calls[frame[0]].entry) {", *cases,
        "        default: break;", "        }", "}",
    ])  # fmt: skip
