"""A patch, or a series of them, as the kernel functions that it touches and the calls that it adds or takes away in each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from septum.sources.reader import LOCK, Call, named_calls
from septum.sources.rules import KEYWORDS, TYPE_WORDS
from septum.sources.series import Hunk, hunks
from septum.sources.tokens import tokens

_DEFINED = re.compile(r"(?P<before>[A-Za-z_].*?[\s*])?(?P<name>[A-Za-z_]\w*)\s*\(")
_MACRO = re.compile(r"#\s*define\s+(\w+)\(")
_DEFINE = re.compile(r"\s*#\s*define\s+\w+(?:\([^)]*\))?")
_LABEL = re.compile(r"\w+\s*:(?!:)")
_REMARK = re.compile(r"\s+\*(?:\s|$)")
_OF_FILE = re.compile(r"[A-Za-z_#]|/\*")
_FOUND = re.compile(r"(?:kvm_x86_call|static_call\w*)\((\w+)\)")


class Kind(StrEnum):
    """What a call means for who owns which page under which lock."""

    LOCK = "lock"
    ALLOCATION = "allocation"
    FREE = "free"
    REFERENCE = "reference"
    GRACE_PERIOD = "grace period"
    SEAMCALL = "SEAMCALL"


_KINDS = (
    (Kind.LOCK, LOCK),
    (Kind.SEAMCALL, re.compile(r"tdh_\w+|seamcall\w*")),
    (
        Kind.ALLOCATION,
        re.compile(r"(?:\w*_)?(?:k|kv|v)?(?:m|z|c|re|pre)?alloc(?:_\w+)?|\w*topup\w*|\w*get_(?:free|zeroed)_pages?"),
    ),
    (Kind.GRACE_PERIOD, re.compile(r"call_rcu\w*|\w*free_rcu|synchronize_s?rcu\w*|s?rcu_barrier")),
    (Kind.FREE, re.compile(r"(?:\w*_)?(?:k|kv|v|kz)?free(?:_\w+)?|\w*_drain(?:_\w+)?")),
    (
        Kind.REFERENCE,
        re.compile(r"\w+_(?:get|put)|(?:get|put)_page|\w+_(?:get|put)_root|refcount_\w+|atomic\w*_(?:inc|dec|add|sub)\w*"),
    ),
)


def kind_of(name: str) -> Kind | None:
    """The kind of a call by the name of what is called; None if it is of no kind."""
    asks = name.startswith(("is_", "has_", "can_"))
    return None if asks else next((kind for kind, pattern in _KINDS if pattern.fullmatch(name)), None)


@dataclass(frozen=True)
class Line:
    """A call in a patch: sign is + or - where the patch adds it or takes it away, and blank where it stays; in which diff."""

    sign: str
    call: Call
    diff: int

    @property
    def called(self) -> str:
        """What is called; of `kvm_x86_call(op)` the operation."""
        return _FOUND.sub(r"\1", self.call.name)

    @property
    def kind(self) -> Kind | None:
        return kind_of(self.called)

    @property
    def stays(self) -> bool:
        """Whether the patch leaves the call where it is; macros in capitals say little of a place."""
        return self.sign == " " and not self.call.name.isupper()


@dataclass
class Touched:
    """A function in which a patch changes lines: the calls of those that it shows, in order, and how many it changes."""

    name: str
    file: str
    added: int = 0
    removed: int = 0
    calls: list[Line] = field(default_factory=list)

    def take(self, line: Line) -> None:
        """One more call; what an earlier patch of the series did, and this one undoes, is not told."""
        undone = {"+": "-", "-": "+"}.get(line.sign)
        same = (one for one in self.calls if one.sign == undone and one.diff < line.diff and str(one.call) == str(line.call))
        earlier = next(same, None)
        if earlier is None:
            self.calls.append(line)
        elif line.sign == "-":
            self.calls.remove(earlier)
        else:
            self.calls[self.calls.index(earlier)] = Line(" ", line.call, line.diff)

    @property
    def changes(self) -> list[int]:
        """Where in `calls` it adds or takes away a lock, a page, a reference, a grace period or a SEAMCALL."""
        return [number for number, line in enumerate(self.calls) if line.sign != " " and line.kind]


@dataclass
class Patch:
    """What a patch touches: functions in its order, and the places of hunks in functions that it does not name."""

    functions: list[Touched] = field(default_factory=list)
    nameless: list[str] = field(default_factory=list)


def read(text: str) -> Patch:
    """What a unified diff touches of the kernel's C; a series may be patches one after the other. UserError if it is no diff."""
    found: dict[tuple[str, str], Touched] = {}
    patch = Patch()
    for hunk in hunks(text):
        if hunk.file.endswith((".c", ".h")) and not hunk.file.startswith("tools/"):
            inside = _inside(hunk.lines, hunk.heading)
            _take(found, hunk, inside)
            changed = (
                name is None and line[0] != " " and line[1:].strip() for line, name in zip(hunk.lines, inside, strict=True)
            )
            patch.nameless += [hunk.place] if any(changed) else []
    patch.functions = [one for one in found.values() if one.added or one.removed]
    return patch


def _take(found: dict[tuple[str, str], Touched], hunk: Hunk, inside: Sequence[str | None]) -> None:
    """What a hunk changes, function by function."""
    calls = {sign: _calls([line[1:] if line[0] in f" {sign}" else "" for line in hunk.lines]) for sign in "-+"}
    for number, (line, name) in enumerate(zip(hunk.lines, inside, strict=True)):
        if not name:
            continue
        one = found.setdefault((hunk.file, name), Touched(name, hunk.file))
        sign = line[0]
        if sign != " " and line[1:].strip():
            one.added += sign == "+"
            one.removed += sign == "-"
        for call in calls["-" if sign == "-" else "+"].get(number + 1, []):
            if call.name != one.name:
                one.take(Line(sign, call, hunk.diff))


def _calls(lines: list[str]) -> dict[int, list[Call]]:
    """The calls of one side of a hunk by line; a comment that began above the hunk, or ends below it, is left out."""
    for number, line in enumerate(lines):
        if "/*" in line:
            break
        if "*/" in line:
            lines[: number + 1] = ["" for _ in lines[:number]] + [line.partition("*/")[2]]
            break
    last = max((number for number, line in enumerate(lines) if "/*" in line), default=len(lines))
    if not any("*/" in line for line in lines[last:]):
        lines[last:] = ["" for _ in lines[last:]]
    lines = ["" if _REMARK.match(line) and "*/" not in line else _DEFINE.sub("", line).rstrip("\\ \t") for line in lines]
    found: dict[int, list[Call]] = {}
    for call in named_calls([one for one in tokens("\n".join(lines)) if one.kind != "directive"]):
        found.setdefault(call.line, []).append(call)
    return found


def _inside(lines: Sequence[str], heading: str) -> list[str | None]:
    """For each line of a hunk the function that it belongs to: "" outside of all, None in one that the patch does not name."""
    current = _heading(heading)
    told: list[str | None] = []
    continued = False
    for number, line in enumerate(lines):
        text = line[1:].rstrip()
        macro = _MACRO.match(text)
        begins = not continued and _OF_FILE.match(text) and not _LABEL.match(text)
        if macro:
            current = macro[1]
        elif begins and not text.startswith("#"):
            current = _begun(lines, number)
        told.append(current)
        continued = text.endswith("\\")
        if text.startswith("}") or (macro and not continued) or (begins and "{" in text and text.endswith("}")):
            current = ""
    return told


def _heading(text: str) -> str | None:
    """The function that the head of a hunk names; None for a label, or for a head that is cut off before the name ends."""
    text = text.rstrip()
    if _LABEL.match(text) or text.endswith("\\"):
        return None
    if text.endswith((";", "{", "=", ",")) and "(" not in text:
        return ""
    if not _OF_FILE.match(text) or text.endswith(";"):
        return ""
    return _defined(text) if "(" in text else None


def _begun(lines: Sequence[str], start: int) -> str:
    """The function whose head begins in a line of a hunk; "" for a declaration, or for what is no function."""
    name = _defined(lines[start][1:])
    depth = 0
    for line in lines[start:] if name else ():
        if line[0] not in (" ", lines[start][0]):
            continue
        for sign in re.findall(r"[(){};=]", line[1:]):
            depth += (sign == "(") - (sign == ")")
            if depth == 0 and sign in "{;=":
                return name if sign == "{" else ""
    return name


def _defined(text: str) -> str:
    """The function whose head a text may begin; "" if it is none."""
    macro = _MACRO.match(text)
    if macro:
        return macro[1]
    found = _DEFINED.match(text)
    if not found or "=" in text[: found.end()] or found["name"] in KEYWORDS | TYPE_WORDS:
        return ""
    return found["name"] if found["before"] or not found["name"].isupper() else ""
