"""Rich renderables as text: coloured on a terminal, without a trace of colour elsewhere."""

from __future__ import annotations

import io
from typing import Literal

from rich.box import Box
from rich.console import Console, RenderableType
from rich.table import Table

from septum.check.result import Verdict

# A rule of hyphens below the heading and nothing else: the same on a terminal, in a pipe and in a mail.
RULED = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)

VERDICT_STYLE = {
    Verdict.HOLDS: "green",
    Verdict.VIOLATED: "bold red",
    Verdict.VACUOUS: "bold yellow",
    Verdict.INCOMPLETE: "yellow",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.REFUSED: "bold red",
    Verdict.REACHED: "bold",
}


def rendered(*parts: RenderableType, width: int, colour: bool) -> str:
    """The parts one below the other, without blanks at the ends of lines."""
    text = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=text, width=width, force_terminal=colour, no_color=not colour, color_system=system, highlight=False)
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def table() -> Table:
    """An empty table without a frame."""
    return Table(box=RULED, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
