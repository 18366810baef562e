"""`septum footprints`: what every step of a scenario may read and write."""

from __future__ import annotations

import click

from septum.cli import completion, names
from septum.cli.output import width, write, write_json
from septum.lang.errors import UserError


@click.command(short_help="Show what every step may read and write.")
@click.argument("design", shell_complete=completion.designs)
@click.argument("scenario", default="", shell_complete=completion.scenarios)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def footprints(design: str, scenario: str, as_json: bool) -> None:
    """Show what each step of a SCENARIO (default: the first) may read and write, for the arguments that it gives.

    First come the threads that are alike, and what tells vCPUs, GFNs and the like apart where they are not. A step begins at the
    line where its process stands and goes on to the next yield. An index that is not known is a star.
    """
    from septum.explore.build import build
    from septum.lang.types import scope
    from septum.report.footprints import Alike, steps, text

    model = names.load(design)
    if scenario:
        names.known("scenario", scenario, names.scenarios([model]), design)
    able = [one for one in model.scenarios if one.needs <= model.operations and scenario in ("", one.name)]
    if not able:
        raise UserError(f"{design} has no operations for {scenario or 'any scenario'}")
    built = build(model, able[0])
    with scope(built.bindings):
        found, alike = steps(built.footprints()), Alike.of(built.automorphisms(), built.threads)
    if as_json:
        write_json(
            {"design": model.name, "scenario": able[0].name, **alike.document(), "steps": [step.document() for step in found]}
        )
    else:
        write(text(found, alike, width()))
