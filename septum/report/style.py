"""Rich renderables as text: coloured on a terminal, without a trace of colour elsewhere."""

from __future__ import annotations

import io

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
}


def rendered(*parts: RenderableType, width: int, colour: bool) -> str:
    """The parts one below the other, without blanks at the ends of lines."""
    text = io.StringIO()
    console = Console(
        file=text, width=width, force_terminal=colour, no_color=not colour, color_system="standard" if colour else None, highlight=False
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def table() -> Table:
    """An empty table without a frame."""
    return Table(box=RULED, show_edge=False, pad_edge=False, padding=(0, 1), header_style="")
