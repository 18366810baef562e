"""A design begun from a patch: which operations to copy, and what the patch changes as comments at their places.

Nothing of the C is translated. A comment stands before the line of the copy that calls what the patch's next call stands for,
behind the last one that it has, or at the top.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap

from septum.kvm.design import Design
from septum.sources.citations import citations
from septum.sources.patch import Kind, Touched
from septum.sources.stands_for import Place, function_at, line_of, operations, operations_called, place_of, places

MARK = "# patch:"


@dataclass
class Begun:
    """What becomes of a function that a patch touches: the model's functions for it, the operations that come to them.

    `ways` has for each operation the function that it calls on the way there, "" if it stands for the kernel's function itself.
    `around` are operations that the model's function calls, where none comes to it: the nearest that a design may change.
    """

    touched: Touched
    places: tuple[Place, ...] = ()
    ways: dict[str, str] = field(default_factory=dict)
    around: tuple[str, ...] = ()

    @property
    def operations(self) -> tuple[str, ...]:
        return tuple(self.ways) or self.around


def begin(found: Sequence[Touched], base: Design) -> list[Begun]:
    """What the design `base` has for each function that the patch touches."""
    return [_begun(one, base) for one in found]


def _begun(one: Touched, base: Design) -> Begun:
    known = tuple(dict.fromkeys(_of_base(place, base) for place in places().get(one.name, ())))
    if not known:
        return Begun(one)
    ways = operations(base, frozenset(known))
    around: set[str] = set()
    for place in known if not ways else ():
        function = function_at(place)
        around |= operations_called(function) & base.operations if function else set()
    return Begun(one, known, ways, tuple(sorted(around)))


def _of_base(place: Place, base: Design) -> Place:
    """The base's own operation for one of another design."""
    own = place[0].startswith("designs/") and place[1] in base.operations
    return place_of(base.function(place[1])) if own else place


def annotated(source: str, operation: str, begun: Sequence[Begun]) -> str:
    """The copy of an operation with the comments that belong to it."""
    lines = source.splitlines()
    before: dict[int, list[str]] = {}
    for one in begun:
        if operation in one.operations:
            for number, comment in _comments(one, operation, lines):
                before.setdefault(number, []).append(comment)
    told: list[str] = []
    for number, line in enumerate([*lines, ""]):
        indent = _indent(lines, number)
        told += [f"{indent}{comment}" for comment in before.get(number, [])]
        told += [line] if number < len(lines) else []
    return "\n".join(told) + "\n"


def _comments(one: Begun, operation: str, lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Comments for a copied operation, each with the line that it stands before."""
    touched, way, top = one.touched, one.ways.get(operation), _top(lines)
    if way is None:
        yield top, f"{MARK} {touched.name}() calls this operation; what changes there:"
    if not touched.changes:
        here = _calling(lines, {way}, top) if way else top
        yield here, f"{MARK} changes {touched.name}(), but no lock, page, reference, grace period or SEAMCALL in it"
    for number in touched.changes:
        line = touched.calls[number]
        here = _through(touched, number, lines, way, top) if way else _anchor(touched, number, lines, top) if way == "" else top
        yield here, f"{MARK} {line.sign} {line.kind}: {line.call} in {touched.name}(){_beside(touched, number)}"


def _beside(touched: Touched, number: int) -> str:
    """The next call that stays, to say where in the kernel's function the change is."""
    after = next((line.call.name for line in touched.calls[number + 1 :] if line.stays), "")
    before = next((line.call.name for line in reversed(touched.calls[:number]) if line.stays), "")
    return f", before {after}()" if after else f", after {before}()" if before else ""


def _through(touched: Touched, number: int, lines: Sequence[str], way: str, top: int) -> int:
    """Of a change in what the copy calls: before the call; behind it, if it comes after a SEAMCALL or after all that stays.

    A call that the patch takes away, and that the copy has itself, is marked there.
    """
    own = _calling(lines, _names(touched.calls[number].called), -1) if touched.calls[number].sign == "-" else -1
    if own >= 0:
        return own
    here = _calling(lines, {way}, -1)
    if here < 0:
        return top
    before, after = touched.calls[:number], touched.calls[number + 1 :]
    late = any(line.stays for line in before) and not any(line.stays for line in after)
    late = late or any(line.stays and line.kind is Kind.SEAMCALL for line in before)
    return _behind(lines, here) if late else here


def _anchor(touched: Touched, number: int, lines: Sequence[str], top: int) -> int:
    """The line of a copy before which a change stands: that of the next call that both have, or behind the last one."""
    for line in touched.calls[number + 1 :]:
        found = _calling(lines, _names(line.called), -1) if line.sign != "+" else -1
        if found >= 0:
            return found
    for line in reversed(touched.calls[:number]):
        found = _calling(lines, _names(line.called), -1) if line.sign != "+" else -1
        if found >= 0:
            return _behind(lines, found)
    return top


def _names(kernel: str) -> set[str]:
    """What the model calls a kernel function."""
    return {kernel, *(name for _, name in places().get(kernel, ()))}


def _calling(lines: Sequence[str], names: set[str], otherwise: int) -> int:
    """The first line below the head that calls one of these."""
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\(")
    return next((number for number in range(_top(lines), len(lines)) if pattern.search(lines[number])), otherwise)


def _top(lines: Sequence[str]) -> int:
    """The first line of a function's body behind its docstring."""
    number = next(number for number, line in enumerate(lines) if line.startswith("def "))
    while not lines[number].rstrip().endswith(":"):
        number += 1
    number += 1
    if number < len(lines) and lines[number].lstrip().startswith('"""'):
        first = lines[number].strip()
        if not (first.endswith('"""') and len(first) > 5):
            number = next(n for n in range(number + 1, len(lines)) if lines[n].rstrip().endswith('"""'))
        number += 1
    return number


def _behind(lines: Sequence[str], number: int) -> int:
    """The line behind the statement that begins there."""
    depth = 0
    for end in range(number, len(lines)):
        depth += sum(lines[end].count(one) for one in "([{") - sum(lines[end].count(one) for one in ")]}")
        if depth <= 0:
            return end + 1
    return len(lines)


def _indent(lines: Sequence[str], number: int) -> str:
    """The indentation of a comment before this line: that of the line, or of the one before at the end."""
    line = lines[number] if number < len(lines) else lines[-1] if lines else ""
    return line[: len(line) - len(line.lstrip())] or "    "


def left_out(nameless: Sequence[str]) -> str:
    """What is said of hunks in functions that a patch does not name."""
    return f"not read, since the patch does not say which function it is in (git diff -W does): {', '.join(nameless)}"


def preface(begun: Sequence[Begun], scenarios: Mapping[str, Sequence[str]], nameless: Sequence[str]) -> list[str]:
    """Comments for the top of the file: each function of the patch, what the model has for it, the scenarios that come there.

    `scenarios` has their names by the model that they belong to; "" is the design itself. `nameless` are hunks that are left out.
    """
    lines = [
        "# Begun from a patch. No C was translated: `# patch:` marks what it adds and takes away where the model has the place."
    ]
    lines += ["# It touches", "#"]
    for one in begun:
        lines.append(f"#   {one.touched.name}() of {one.touched.file}, +{one.touched.added} -{one.touched.removed}")
        lines += [f"#       {line}" for line in wrap(told(one), 110)]
    lines += [f"#   {line}" for line in wrap(left_out(nameless), 114)] if nameless else []
    lines.append("#")
    for model, names in scenarios.items():
        whose = f"of septum check {model}, which does not take this design" if model else "to check"
        lines += [f"# {line}" for line in wrap(f"Scenarios {whose}: {', '.join(names)}", 118)]
    return lines


def told(one: Begun) -> str:
    """What the model has for a function that a patch touches, in a line."""
    if not one.places:
        near = difflib.get_close_matches(one.touched.name, sorted({cited.name for cited in citations()}), 1, 0.8)
        return "the model has nothing that stands for it" + (f"; its nearest name is {near[0]}()" if near else "")
    where = ", ".join(f"{place[1]}() in septum/{place[0]}:{line_of(place)}" for place in one.places)
    if one.ways:
        return f"{where}; copied: {', '.join(one.ways)}"
    if one.around:
        return f"{where}, which no design replaces; copied, since it calls them: {', '.join(one.around)}"
    return f"{where}, which no design replaces"
