"""A patch, or a series of them, as the kernel functions that it touches and the calls that it adds or takes away in each."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from septum.lang.errors import UserError
from septum.sources.reader import LOCK, Call, named_calls
from septum.sources.tokens import tokens

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@ ?(.*)")
_DEFINED = re.compile(r"(?:[A-Za-z_].*?[\s*])?([A-Za-z_]\w*)\s*\(")
_MACRO = re.compile(r"#\s*define\s+(\w+)\(")
_DEFINE = re.compile(r"\s*#\s*define\s+\w+(?:\([^)]*\))?")
_LABEL = re.compile(r"\w+\s*:(?!:)")


class Kind(StrEnum):
    """What a call means for who owns which page under which lock."""

    LOCK = "lock"
    ALLOCATION = "allocation"
    FREE = "free"
    REFERENCE = "reference"
    GRACE_PERIOD = "grace period"
    SEAMCALL = "SEAMCALL"


_COUNT = r"refcount_\w+|atomic\w*_(?:inc|dec|add|sub)\w*"
_KINDS = (
    (Kind.LOCK, LOCK),
    (Kind.SEAMCALL, re.compile(r"tdh_\w+|seamcall\w*")),
    (Kind.ALLOCATION, re.compile(r"(?:\w*_)?(?:k|kv|v)?(?:m|z|c|re)?alloc(?:_\w+)?|\w*topup\w*|\w*get_(?:free|zeroed)_pages?")),
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
    """A call in a patch: sign is + or - where the patch adds it or takes it away, and blank where it stays."""

    sign: str
    call: Call

    @property
    def kind(self) -> Kind | None:
        return kind_of(self.call.name)

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

    @property
    def changes(self) -> list[int]:
        """Where in `calls` it adds or takes away a lock, a page, a reference, a grace period or a SEAMCALL."""
        return [number for number, line in enumerate(self.calls) if line.sign != " " and line.kind]


def touched(text: str) -> list[Touched]:
    """The functions that a unified diff touches, in its order; a series may be patches one after the other. UserError if none."""
    found: dict[tuple[str, str], Touched] = {}
    hunks = 0
    for file, heading, lines in _hunks(_decoded(text)):
        hunks += 1
        if file.endswith((".c", ".h")):
            _take(found, file, heading, lines)
    if not hunks:
        raise UserError("the patch holds no hunk of a unified diff (@@ -1,2 +3,4 @@); git diff and git format-patch write such")
    return [one for one in found.values() if one.added or one.removed]


def _decoded(text: str) -> str:
    """The text of mails, one after the other, of which some are encoded for transport."""
    if not re.search(r"^content-transfer-encoding:\s*(?:quoted-printable|base64)", text, re.MULTILINE | re.IGNORECASE):
        return text
    told: list[str] = []
    for mail in re.split(r"^(?=From \S+ .*\d{4}$)", text, flags=re.MULTILINE):
        for part in email.message_from_string(mail).walk():
            body = part.get_payload(decode=True)
            if isinstance(body, bytes) and part.get_content_maintype() == "text":
                told.append(body.decode("utf-8", errors="replace").replace("\r\n", "\n"))
    return "\n".join(told)


def _hunks(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """File, heading and lines of each hunk; how many lines it has its head says, so that nothing of a mail is taken for one."""
    lines = text.splitlines()
    number, file, old = 0, "", ""
    while number < len(lines):
        line, head = lines[number], _HUNK.match(lines[number])
        number += 1
        if line.startswith("--- "):
            old = line[4:].partition("\t")[0].removeprefix("a/")
        elif line.startswith("+++ "):
            new = line[4:].partition("\t")[0].removeprefix("b/")
            file = old if new == "/dev/null" else new
        elif head:
            left, right = (int(count) if count is not None else 1 for count in head.groups()[:2])
            body: list[str] = []
            while (left > 0 or right > 0) and number < len(lines):
                sign = lines[number][:1] or " "
                if sign not in " +-\\":
                    raise UserError(
                        f"line {number + 1} of the patch: in a hunk lines begin with a blank, + or -: {lines[number]!r}"
                    )
                left -= sign in " -"
                right -= sign in " +"
                body += [lines[number] or " "] if sign != "\\" else []
                number += 1
            yield file, head[3], body


def _take(found: dict[tuple[str, str], Touched], file: str, heading: str, lines: Sequence[str]) -> None:
    """What a hunk changes, function by function."""
    calls = {sign: _calls([line[1:] if line[0] in f" {sign}" else "" for line in lines]) for sign in "-+"}
    inside = _inside(lines, heading)
    for number, line in enumerate(lines):
        if not inside[number]:
            continue
        one = found.setdefault((file, inside[number]), Touched(inside[number], file))
        sign = line[0]
        if sign != " " and line[1:].strip():
            one.added += sign == "+"
            one.removed += sign == "-"
        for call in calls["-" if sign == "-" else "+"].get(number + 1, []):
            if call.name != one.name:
                one.calls.append(Line(sign, call))


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
    lines = [_DEFINE.sub("", line).rstrip("\\ \t") for line in lines]
    found: dict[int, list[Call]] = {}
    for call in named_calls([one for one in tokens("\n".join(lines)) if one.kind != "directive"]):
        found.setdefault(call.line, []).append(call)
    return found


def _inside(lines: Sequence[str], heading: str) -> list[str]:
    """For each line of a hunk the function that it belongs to, "" outside of all."""
    current = _defined(heading)
    told: list[str] = []
    for line in lines:
        text = line[1:]
        begun = _defined(text)
        if begun:
            current = begun
        told.append(current)
        ends_prototype = bool(begun) and text.rstrip().endswith(";")
        ends_macro = bool(_MACRO.match(text)) and not text.rstrip().endswith("\\")
        if text.startswith("}") or ends_prototype or ends_macro:
            current = ""
            told[-1] = told[-1] if text.startswith("}") or ends_macro else ""
    return told


def _defined(text: str) -> str:
    """The function that begins in a line, which begins in its first column; "" if none does."""
    macro = _MACRO.match(text)
    if macro:
        return macro[1]
    if (not text[:1].isalpha() and text[:1] != "_") or _LABEL.match(text):
        return ""
    found = _DEFINED.match(text)
    return found[1] if found and "=" not in text[: found.end()] else ""
