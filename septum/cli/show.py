"""`septum show`: the source of a design."""

from __future__ import annotations

from pathlib import Path

import click

from septum.cli import names
from septum.cli.output import colour, width, write
from septum.lang.errors import UserError


@click.command(short_help="Show the source of a design.")
@click.argument("design")
def show(design: str) -> None:
    """Show the source of a design: with line numbers and colours on a terminal, as it stands in a pipe."""
    file = names.load(design).file
    if file is None:
        raise UserError(f"{design} has no file of its own")
    source = Path(file).read_text(encoding="utf-8")
    write(_coloured(Path(file), source) if colour() else source)


def _coloured(file: Path, source: str) -> str:
    from rich.syntax import Syntax

    from septum.report.style import rendered

    code = Syntax(source, "python", line_numbers=True, background_color="default", word_wrap=True)
    return rendered(f"[bold]{file.stem}[/]  [dim]{file}[/]", code, width=width(), colour=True)
