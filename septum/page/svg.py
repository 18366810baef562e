"""A race as a picture for a mail or a slide: a line a CPU, time runs down, and of what changed what a reviewer looks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from septum.check.result import Counterexample, Result
from septum.report.diagram import length, met
from septum.report.race import rows
from septum.report.text import Item, wrapped

LETTERS, LETTER, LINE, PAD, GAP = 46, 7.25, 16, 8, 10
"""Of a column: its letters; and in pixels, how wide a letter and how high a line is, what is around a text and between boxes."""

MOST = 24
"""Of a longer race, only the steps on which the failed clause depends are drawn."""

HEAD, MARGIN, NUMBER = 30, 20, 34
STYLE = (
    "text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1d2326; }"
    " .head { font-weight: 700; font-size: 14px; } .soft { fill: #5a646a; } .call { font-weight: 700; } .bad { fill: #b3261e; }"
    " .line { stroke: #9aa3a8; stroke-dasharray: 3 4; } .box { fill: #f4f7f9; stroke: #9aa3a8; }"
    " .fails { fill: #fdecea; stroke: #b3261e; stroke-width: 1.5; } .needed { stroke: #1f5fa8; stroke-width: 1.5; }"
)


@dataclass(frozen=True)
class Box:
    """What one thread does in one step."""

    number: str
    column: int
    lines: tuple[tuple[str, str], ...]
    kind: str

    @property
    def height(self) -> int:
        return LINE * len(self.lines) + 2 * PAD


def svg(result: Result) -> str:
    """The picture; of a result without a schedule what is known of it."""
    found = result.counterexample
    every = list(_boxes(found)) if found else []
    boxes = _shorter(every)
    threads = _threads(found) if found else []
    column = LETTERS * LETTER + 2 * PAD
    width = MARGIN * 2 + NUMBER + max(len(threads), 1) * (column + GAP)
    room = int((width - 2 * MARGIN) / (LETTER * 1.15))
    body, top = _texts([(f"{result.design}, {result.scenario}", "head")], MARGIN, MARGIN + LINE), float(MARGIN + 2 * LINE)
    lefts = [MARGIN + NUMBER + n * (column + GAP) for n in range(len(threads))]
    heads = [(name, left) for name, left in zip(threads, lefts, strict=True)]
    body += [line for name, left in heads for line in _texts([(name, "head")], left + PAD, top + LINE)]
    begins = top = top + HEAD
    drawn: list[str] = []
    for box in boxes:
        drawn += _box(box, lefts[box.column], top, column)
        top += box.height + GAP
    lines = [f'<line class="line" x1="{left + 14:g}" x2="{left + 14:g}" y1="{begins:g}" y2="{top:g}"/>' for left in lefts]
    said = [(line, "head bad") for line in wrapped(result.clause or result.property, room)]
    said += [(length(found), "soft")] if found else []
    if len(boxes) < len(every):
        said.append((f"{len(every) - len(boxes)} more that change something are left out: it does not depend on them", "soft"))
    body += [*lines, *drawn, *_texts(said, MARGIN, top + LINE)]
    height = top + LINE * (len(said) + 2)
    title = f"{result.design}, {result.scenario}: {result.clause or result.property}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">\n<title>{_safe(title)}</title>\n<style>{STYLE}</style>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _threads(found: Counterexample) -> list[str]:
    racing = [found.race.thread.thread, found.race.partner.thread] if found.race else []
    return list(dict.fromkeys([*(step.thread for step in found.steps), *racing]))


def _boxes(found: Counterexample) -> Iterator[Box]:
    threads, last = _threads(found), len(found.steps)
    for number, thread, items in rows(found):
        fails = number == last and not found.race
        kind = "fails" if fails else "needed" if found.steps[number - 1].needed else ""
        yield Box(str(number), threads.index(thread), tuple(_lines(items, fails)), kind)
    if found.race:
        for thread, items in met(found.race):
            yield Box("", threads.index(thread), tuple(_lines(items, False)), "fails")


def _shorter(boxes: list[Box]) -> list[Box]:
    kept = [box for box in boxes if box.kind]
    return kept if len(boxes) > MOST and len(kept) > 1 else boxes


def _lines(items: Sequence[Item], fails: bool) -> Iterator[tuple[str, str]]:
    """Text and class of each line; a call is told from what it did by its form."""
    for number, item in enumerate(items):
        call = re.fullmatch(r"\w+\(.*\)", item.text)
        kind = "call" if call else "bad" if fails and number == len(items) - 1 else ""
        yield from ((line, kind) for line in item.lines(LETTERS))


def _box(box: Box, left: float, top: float, width: float) -> list[str]:
    number = _texts([(box.number, "soft")], MARGIN, top + PAD + LINE - 4)
    kind = f"box {box.kind}".strip()
    rect = f'<rect class="{kind}" x="{left:g}" y="{top:g}" width="{width:g}" height="{box.height}" rx="5"/>'
    return [*number, rect, *_texts(box.lines, left + PAD, top + PAD + LINE - 4)]


def _texts(lines: Sequence[tuple[str, str]], left: float, top: float) -> list[str]:
    """A line below the other; what a line is indented by moves it."""
    made = []
    for number, (text, kind) in enumerate(lines):
        bare = text.lstrip(" ")
        at = left + (len(text) - len(bare)) * LETTER
        of = f' class="{kind}"' if kind else ""
        made.append(f'<text{of} x="{at:g}" y="{top + number * LINE:g}">{_safe(bare)}</text>')
    return made


def _safe(text: str) -> str:
    """As text of XML, which has no control characters."""
    return escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text))
