"""`septum explore`: a local page on which one takes each step of a scenario oneself."""

from __future__ import annotations

from pathlib import Path

import click

from septum.cli import completion, names
from septum.cli.output import write
from septum.lang.errors import UserError
from septum.lang.memory import memory_sizes
from septum.lang.whole import write_whole

INSTALL = "septum explore needs starlette and uvicorn: pip install 'septum[explore]'"


@click.command(no_args_is_help=True, short_help="Take each step of a scenario oneself, on a local page.")
@click.argument("design", shell_complete=completion.designs)
@click.argument("scenario", shell_complete=completion.scenarios)
@click.option("--token", default="", help="Begin with the schedule of a counterexample, before the step that fails.")
@click.option("--vcpus", metavar="N", type=click.IntRange(min=1), help="How many vCPUs the scenario runs.")
@click.option("--pages", metavar="N", type=click.IntRange(min=1), help="How many physical pages there are.")
@click.option("--memory", type=click.Choice(["sc", "x86-tso"]), default="sc", help="How memory keeps the order of accesses.")
@click.option("--dot", metavar="FILE", help="Write the graph of its states for Graphviz, of at most 500, in place of the page.")
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), default=0, help="Where the page is (default: any free port).")
def explore(
    design: str, scenario: str, token: str, vcpus: int | None, pages: int | None, memory: str, dot: str | None, port: int
) -> None:
    """Choose who runs next: a page on this machine alone, until Ctrl-C.

    It shows who can go on and what each next step would do, the state with all that it draws, the way to a witness, and exports
    the schedule.
    """
    from septum.explore.build import build

    model = names.load(design)
    names.known("scenario", scenario, names.scenarios([model]), design)
    chosen = next(one for one in model.scenarios if one.name == scenario)
    if missing := ", ".join(sorted(chosen.needs - model.operations)):
        raise UserError(f"{scenario} does not apply to {design}: the design has no {missing}")
    given = {"VCPUS": vcpus, "PAGES": pages, **memory_sizes(memory)}
    sizes = {name: number for name, number in given.items() if number is not None}
    if dot:
        from septum.page.graph import dot as graph

        return write_whole(Path(dot), graph(build(model, chosen, sizes)))
    try:
        from septum.page.serve import serve
    except ImportError:
        raise UserError(INSTALL) from None
    from septum.check import tokens
    from septum.check.explain import schedule_of
    from septum.page.walk import Walk

    if token:
        built, schedule = schedule_of(model, token)
        if built.scenario is not chosen:
            raise UserError(f"the token is one of {built.scenario.name}, and not of {scenario}")
        walk = Walk(built, design, tokens.read(token).sizes, schedule)
    else:
        walk = Walk(build(model, chosen, sizes), design, sizes)
    try:
        serve(walk, port, lambda address: write(f"{address}  (Ctrl-C ends it)"))
    except KeyboardInterrupt:
        return
