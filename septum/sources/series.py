"""A series of patches as the hunks of its unified diffs: files in a row, a mailbox, a directory of git format-patch."""

from __future__ import annotations

import email
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from septum.lang.errors import UserError
from septum.sources.tree import PLACES

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)")
_ENCODED = re.compile(r"^content-transfer-encoding:\s*(?:quoted-printable|base64)", re.MULTILINE | re.IGNORECASE)
_MAIL = re.compile(r"^(?=From \S+ .*\d{4}$)", re.MULTILINE)
_PLACE = re.compile(rf".*?(?=(?:{'|'.join(PLACES)})/)")


@dataclass(frozen=True)
class Hunk:
    """A hunk: its file, its first line there, what its head says of the function, its lines with their signs.

    `diff` numbers the diffs of files in a series: a later one of the same file is another patch. `at` is the line of its head.
    """

    file: str
    line: int
    heading: str
    lines: tuple[str, ...]
    diff: int
    at: int = 0

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def text_of(source: str) -> str:
    """The text of a series: of a file, of a directory's *.patch files in order, or, for -, of standard input."""
    if source == "-":
        return sys.stdin.read()
    path = Path(source)
    try:
        files = sorted(path.glob("*.patch")) if path.is_dir() else [path]
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    except OSError as error:
        raise UserError(f"{source}: {error.strerror}") from None


def hunks(text: str) -> list[Hunk]:
    """The hunks of a series in its order; UserError if there is none."""
    found = list(_hunks(_decoded(text.replace("\r\n", "\n")).split("\n")))
    if not found:
        raise UserError("the patch holds no hunk of a unified diff (@@ -1,2 +3,4 @@); git diff and git format-patch write such")
    return found


def _decoded(text: str) -> str:
    """The text of mails, one after the other, of which some are encoded for transport."""
    if not _ENCODED.search(text):
        return text
    told: list[str] = []
    for mail in _MAIL.split(text):
        for part in email.message_from_string(mail).walk():
            body = part.get_payload(decode=True)
            if isinstance(body, bytes) and part.get_content_maintype() == "text":
                told.append(body.decode("utf-8", errors="replace").replace("\r\n", "\n"))
    return "\n".join(told)


def _hunks(lines: Sequence[str]) -> Iterator[Hunk]:
    """How many lines a hunk has its head says, so that nothing of a mail is taken for one."""
    number, diff, file, old = 0, 0, "", ""
    while number < len(lines):
        line, head = lines[number], _HUNK.match(lines[number])
        number += 1
        if line.startswith("--- "):
            old = _file(line)
        elif line.startswith("+++ "):
            new = _file(line)
            file = old if new == "/dev/null" else new
            diff += 1
        elif head:
            at = number
            left, right = (int(count) if count is not None else 1 for count in (head[1], head[3]))
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
            yield Hunk(file, int(head[2]), head[4], tuple(body), diff, at)


def _file(line: str) -> str:
    """The file that a line --- or +++ names: from its place in a kernel on, or without git's a/ or b/."""
    name = line[4:].partition("\t")[0].rstrip()
    return _PLACE.sub("", name, count=1) if _PLACE.match(name) else re.sub(r"^[ab]/", "", name)
