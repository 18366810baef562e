"""`septum lint`: whether designs are in the language, at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from septum.cli import completion, names
from septum.cli.output import write, write_json
from septum.lang.errors import UserError

if TYPE_CHECKING:
    from septum.check.lint import Linted

WRONG = 2


@click.command(short_help="Say what is wrong with a file, without exploring.")
@click.argument("designs", metavar="DESIGN...", nargs=-1, required=True, shell_complete=completion.designs)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def lint(context: click.Context, designs: Sequence[str], as_json: bool) -> None:
    """Read each DESIGN and translate its scenarios; nothing is compiled or explored.

    Says what the language refuses, with file and line: the first thing of each group of scenarios that have the same sizes.

    Exit status: 0 all is translated, 2 something is wrong.
    """
    from septum.check.lint import Linted
    from septum.check.lint import lint as linted

    found = dict[str, Linted]()
    for design in dict.fromkeys(designs):
        try:
            found[design] = linted(names.load(design))
        except UserError as error:
            found[design] = Linted((), (), {str(error): ()})
    if as_json:
        rows = {design: {"translated": one.translated, "not_applicable": one.not_applicable, "wrong": list(one.wrong)}
                for design, one in found.items()}  # fmt: skip
        write_json({"designs": rows})
    else:
        write("\n".join(_told(design, one) for design, one in found.items()))
    context.exit(WRONG if any(one.wrong for one in found.values()) else 0)


def _told(design: str, one: Linted) -> str:
    """A line for a design in which nothing is wrong, and else what is, and in which scenarios it was met."""
    if one.wrong:
        return "\n".join(what + (f"\n  in {', '.join(where)}" if where else "") for what, where in one.wrong.items())
    rest = f"; {len(one.not_applicable)} do not apply" if one.not_applicable else ""
    return f"{design}: {len(one.translated)} scenario{'s' if len(one.translated) != 1 else ''} translated{rest}"
