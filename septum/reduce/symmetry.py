"""The tables of the symmetry reduction: where in a state the values of an index type stand, and which elements belong to one.

Those of scalarsets come first: symmetry.c renames them as it meets them. Of other types automorphism.py says what may be renamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from septum.lang.errors import UserError
from septum.lang.frames import Point
from septum.lang.types import Array, Index, Packed, Scalar, SetOf
from septum.lang.values import Kind, Num, Of, Ref
from septum.reduce.apart import thread_types, told_apart
from septum.translate.translation import Translation
from septum.translate.tree import Function, Invoke, called

DECLARATIONS = """
enum { PLACE_NUMBER, PLACE_PACKED, PLACE_REFERENCE, PLACE_MEMBERS };
typedef struct place { uint64_t offset, mask; uint8_t bytes, kind, set, low; } place_t;
typedef struct member { uint64_t offset; uint32_t stride, set; } member_t;
typedef struct scalarset { uint32_t first, limit; } scalarset_t;
/* Of `all` places the first `names` are of scalarsets, or references. */
typedef void visit_t(void *with, const uint8_t *at, const place_t *places, uint32_t names, uint32_t all);
"""
KINDS = ("NUMBER", "PACKED", "REFERENCE", "MEMBERS")
PLACE = "QQ4B0Q"
"""place_t, whose numbers `Place.row` gives."""


@dataclass(frozen=True)
class Place:
    """A value of an index type in the state: a number, some bits of a word, a reference into an element, a set of them."""

    offset: int
    bytes: int
    kind: str
    index: Index | None = None
    low: int = 0
    mask: int = 0

    def row(self, sets: list[Index]) -> tuple[int, ...]:
        number = sets.index(self.index) if self.index else 0
        return self.offset, self.mask, self.bytes, KINDS.index(self.kind), number, self.low

    def c(self, sets: list[Index]) -> str:
        offset, mask, bytes, _, number, low = self.row(sets)
        return f"{{ {offset}ull, {mask:#x}ull, {bytes}, PLACE_{self.kind}, {number}, {low} }}"


def is_scalarset(index: Index) -> bool:
    return index.scalarset and index.fixed < index.limit


def of_scalar(scalar: Scalar, offset: int) -> Iterator[Place]:
    """The value of an index type in a scalar, if it has one."""
    if isinstance(scalar, Packed):
        yield Place(offset, 8, "PACKED", scalar.index, scalar.low, (1 << scalar.high - scalar.low) - 1)
    if isinstance(scalar, Index):
        yield Place(offset, scalar.bits // 8, "NUMBER", scalar)
    if isinstance(scalar, SetOf):
        yield Place(offset, scalar.bits // 8, "MEMBERS", scalar.index)


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
        self.alike = alike_somewhere(unit)
        self.members: list[tuple[int, int, Index, list[Place]]] = []
        self.world = list(self._places(unit.world, 0, True))
        used = {place.index for place in self.world if place.index} | {member[2] for member in self.members}
        used |= {place.index for member in self.members for place in member[3] if place.index}
        frames = [function.frames for function in unit.functions if function.frames]
        kept = {saved.kind for one in frames for point in one.points for saved in point.saved}
        found = {place.index for kind in kept for place in of_kind(kind, 0, 32) if place.index}
        used |= {index for index in found if is_scalarset(index)}
        self.scalarsets = len(used)
        self.sets = [*sorted(used, key=lambda index: index.name), *sorted(self.alike, key=lambda index: index.name)]

    def of_frame(self, point: Point) -> tuple[list[Place], int]:
        """The places of what a process keeps at a yield; those of scalarsets and the references come first: how many."""
        places = [place for saved in point.saved for place in of_kind(saved.kind, saved.offset, self.unit.reference_bits)]
        first = [place for place in places if not place.index or is_scalarset(place.index)]
        return [*first, *(place for place in places if place.index in self.alike)], len(first)

    def _places(self, of: object, offset: int, top: bool) -> Iterator[Place]:
        if isinstance(of, Scalar):
            yield from (place for place in of_scalar(of, offset) if place.index and is_scalarset(place.index))
        elif isinstance(of, Array):
            yield from self._elements(of, offset, top)
        else:
            for part, _, at in self.unit.bytes.parts(of, offset=offset):
                yield from self._places(part, at, top)

    def _elements(self, of: Array, offset: int, top: bool) -> Iterator[Place]:
        if of.index and is_scalarset(of.index):
            if not top:
                raise UserError(
                    f"{of}: an array indexed by a scalarset may not lie inside of another array; move it to the world"
                )
            members = list(self._places(of.element, 0, False))
            self.members.append((offset, self.unit.bytes.size(of.element), of.index, members))
            return
        if next(self._places(of.element, 0, False), None) is None:
            return
        for element, _, at in self.unit.bytes.parts(of, offset=offset):
            yield from self._places(element, at, False)


def alike_somewhere(unit: Translation) -> set[Index]:
    """The index types, scalarsets apart, whose values are alike for the properties and for some process that a thread may run."""
    judged = told_apart(unit.properties)
    distinct = [judged | told_apart([entry]) for entry in unit.entries]
    kinds = {kind for function in unit.functions for kind in function.kinds.values()}
    types = {index for kind in kinds for index in _types_of(kind)} | thread_types(unit.functions)
    return {index for index in types if index.limit > 1 and not all(index in of or None in of for of in distinct)}


def _types_of(kind: Kind) -> Iterator[Index]:
    """The index types of a local, scalarsets apart."""
    for place in of_kind(kind, 0, 32):
        if place.index and place.kind != "PACKED" and not is_scalarset(place.index):
            yield place.index


def symmetry_tables(unit: Translation) -> str:
    """The C tables that symmetry.c walks."""
    tables = Tables(unit)
    sets = tables.sets
    lines = [DECLARATIONS, f"#define SCALARSETS {tables.scalarsets}", f"#define RENAMED {len(sets)}",
             f"#define MEMBERS {len(tables.members)}",
             f"#define SCALARSET_LIMIT {max([index.limit for index in sets[: tables.scalarsets]], default=1)}"]  # fmt: skip
    if tables.scalarsets:
        lines += _scalarsets(tables)
    lines += [_visitor(tables, function) for function in called(unit.entries) if function.is_process]
    return "\n".join([*lines, _roots(unit)])


def _scalarsets(tables: Tables) -> Iterator[str]:
    """Their sizes, where the world names their values, and the arrays that they index."""
    limits = [f"{{ {index.fixed}, {index.limit} }}" for index in tables.sets[: tables.scalarsets]]
    yield _array("scalarset_t", "scalarsets", limits)
    yield _places("WORLD_PLACES", tables.world, tables.sets)
    members = [f"{offset}ull, {stride}, {tables.sets.index(index)}" for offset, stride, index, _ in tables.members]
    yield _array("member_t", "members", [f"{{ {member} }}" for member in members])
    yield f"#define EACH_MEMBER(member) {' '.join(f'member({number}, {one})' for number, one in enumerate(members))}"
    for number, (*_, places) in enumerate(tables.members):
        yield _places(f"MEMBER_PLACES_{number}", places, tables.sets)


def _places(name: str, places: list[Place], sets: list[Index]) -> str:
    """A macro that names each run of places in their order, with its distance and length."""
    return f"#define {name}(run) {' '.join(f'run({one.c(sets)[2:-2]}, {step}, {count})' for one, step, count in _runs(places))}"


def _runs(places: list[Place]) -> Iterator[tuple[Place, int, int]]:
    """Places that are alike and lie at one distance after the other: the first, the distance, how many."""
    start = 0
    while start < len(places):
        first, end, step = places[start], start + 1, 0
        while end < len(places) and replace(places[end], offset=first.offset) == first:
            distance = places[end].offset - places[end - 1].offset
            if step not in (0, distance):
                break
            step, end = distance, end + 1
        yield first, step, end - start
        start = end


def _array(of: str, name: str, items: list[str]) -> str:
    return f"static const {of} {name}[{len(items) + 1}] = {{ {', '.join([*items, '{ 0 }'])} }};"


VISIT = "visit_t *visit, void *with"


def _visitor(tables: Tables, function: Function) -> str:
    arrays, cases, name = [], [], tables.unit.name(function)
    points = function.frames.points if function.frames else ()
    for pause, point in zip(function.pauses, points, strict=True):
        places, first = tables.of_frame(point)
        actions = []
        if places:
            arrays.append(_array("place_t", f"{name}_{point.number}", [place.c(tables.sets) for place in places]))
            actions.append(f"visit(with, at, {name}_{point.number}, {first}, {len(places)});")
        if isinstance(pause, Invoke):
            actions.append(f"visit_{tables.unit.name(pause.callee)}(at + {point.end}, visit, with);")
        if actions:
            cases.append(f"    case {point.number}: {' '.join(actions)} break;")
    head = f"static void visit_{name}(const uint8_t *at, {VISIT})\n{{\n    (void)visit; (void)with;\n    switch (at[0]) {{"
    return "\n".join([*arrays, head, *cases, "    default: break;", "    }", "}"])


def _roots(unit: Translation) -> str:
    cases = [
        f"        case {number}: visit_{unit.name(entry)}(frame + 1, visit, with); break;"
        for number, entry in enumerate(unit.entries)
    ]
    return "\n".join([
        f"static void frame_visit(const uint8_t *frame, unsigned thread, {VISIT})", "{", "    (void)visit; (void)with;",
        "    if (frame[0] != ENDED && frame[1])", "        switch (model_program[thread].calls[frame[0]].entry) {", *cases,
        "        default: break;", "        }", "}",
    ])  # fmt: skip
