"""`septum list`: the designs, models, scenarios, properties or scopes that there are."""

from __future__ import annotations

import textwrap

import click

from septum.cli import completion, names
from septum.cli.output import width, write, write_json


@click.command("list", short_help="List designs, models, scenarios, properties or scopes.")
@click.argument("what", type=click.Choice(["designs", "models", "scenarios", "properties", "scopes"]))
@click.argument("design", default="", shell_complete=completion.designs)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(what: str, design: str, as_json: bool) -> None:
    """List the built-in designs, the other models, the scenarios, the properties or the scopes.

    With DESIGN, only those of this design or file.
    """
    titles = _titles(what, design)
    if as_json:
        write_json({what: [{"name": name, "title": title} for name, title in titles.items()]})
    else:
        write(table(titles, width()))


def _titles(what: str, design: str) -> dict[str, str]:
    from septum.check.loading import designs, side_titles

    if what == "designs":
        titles = {name: found.title for name, found in designs().items()}
        if design and design not in titles:
            names.load(design)  # a file has no title; anything else is refused
        return {design: titles.get(design, "")} if design else titles
    if what == "models":
        if design:
            names.known("model", design, list(side_titles()))
        return {name: title for name, title in side_titles().items() if design in ("", name)}
    models = [names.load(name) for name in ([design] if design else designs())]
    lists = {"scenarios": names.scenarios, "properties": names.properties, "scopes": names.scopes}
    return lists[what](models)


def table(titles: dict[str, str], columns: int) -> str:
    """A line for each name and its title, which goes on below itself where it is long."""
    room = max((len(name) for name in titles), default=0) + 2
    return "\n".join(
        textwrap.fill(
            title or "-", columns, initial_indent=name.ljust(room), subsequent_indent=" " * room, break_on_hyphens=False
        )
        for name, title in titles.items()
    )
