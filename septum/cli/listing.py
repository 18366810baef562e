"""`septum list`: the designs, scenarios or properties that there are."""

from __future__ import annotations

import textwrap
from enum import StrEnum
from typing import Annotated

import typer

from septum.cli import names
from septum.cli.output import width, write, write_json


class What(StrEnum):
    """What can be listed."""

    DESIGNS = "designs"
    SCENARIOS = "scenarios"
    PROPERTIES = "properties"


def list_(
    what: Annotated[What, typer.Argument(help="What to list.")],
    design: Annotated[str, typer.Argument(metavar="[DESIGN]", help="Only those of this design or file.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the built-in designs, the scenarios or the properties."""
    titles = _titles(what, design)
    if as_json:
        write_json({what.value: [{"name": name, "title": title} for name, title in titles.items()]})
    else:
        write(table(titles, width()))


def _titles(what: What, design: str) -> dict[str, str]:
    from septum.check.check import designs

    if what is What.DESIGNS:
        return {name: found.title for name, found in designs().items() if design in ("", name)}
    models = [names.load(name) for name in ([design] if design else designs())]
    return names.scenarios(models) if what is What.SCENARIOS else names.properties(models)


def table(titles: dict[str, str], columns: int) -> str:
    """A line for each name and its title, which goes on below itself where it is long."""
    room = max((len(name) for name in titles), default=0) + 2
    return "\n".join(
        textwrap.fill(title or "-", columns, initial_indent=name.ljust(room), subsequent_indent=" " * room)
        for name, title in titles.items()
    )
