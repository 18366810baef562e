"""`septum show`: the source of a design, or what the translator reads in it."""

from __future__ import annotations

from pathlib import Path

import click

from septum.cli import completion, names
from septum.cli.output import colour, width, write
from septum.explore.build import build
from septum.kvm.replacing import place_of, replaced
from septum.lang.errors import UserError
from septum.lang.model import Model
from septum.translate.show import shown


@click.command(short_help="Show the source of a design.")
@click.argument("design", shell_complete=completion.designs)
@click.argument("function", required=False)
@click.option("--tree", is_flag=True, help="The typed tree of FUNCTION, with the kinds of its arguments and locals.")
def show(design: str, function: str | None, tree: bool) -> None:
    """Show the source of a design: with line numbers and colours on a terminal, as it stands in a pipe.

    With --tree: a FUNCTION that the design's scenarios run, an operation say, as the translator reads it.
    """
    model = names.load(design)
    if tree != (function is not None):
        raise UserError("show --tree DESIGN FUNCTION: --tree and the name of a function go together")
    if function is not None:
        write("\n".join(_trees(model, function)))
        return
    if model.file is None:
        raise UserError(f"{design} has no file of its own")
    source = Path(model.file).read_text(encoding="utf-8")
    source += "".join(f"# {line}\n" for line in put(model))
    write(_coloured(Path(model.file), source) if colour() else source)


def put(model: Model) -> list[str]:
    """What the design, or one that it is based on, puts in the place of functions of the core."""
    return [
        f"{new.__name__}(), {place_of(new)}, stands in the place of {old.__name__}(), {place_of(old)}"
        for new, old in replaced(model.bindings).items()
    ]


def _trees(model: Model, name: str) -> list[str]:
    """The trees of the functions of this name, one for each choice of kinds, of the first scenario that has them."""
    seen: set[str] = set()
    for scenario in model.scenarios:
        if scenario.needs <= model.operations:
            unit = build(model, scenario).translation
            instead = replaced(model.bindings)
            meant = {name, *(new.__name__ for new, old in instead.items() if old.__name__ == name)}
            found = [shown(one) for one in unit.functions if one.source.name in meant]
            if found:
                return found
            seen |= {one.source.name for one in unit.functions}
    names.known("function", name, seen, model.name)
    return []


def _coloured(file: Path, source: str) -> str:
    from rich.syntax import Syntax

    from septum.report.style import rendered

    code = Syntax(source, "python", line_numbers=True, background_color="default", word_wrap=True)
    return rendered(f"[bold]{file.stem}[/]  [dim]{file}[/]", code, width=width(), colour=True)
