"""`septum claims`: what was claimed in the debate, settled by exploring."""

from __future__ import annotations

from collections.abc import Sequence

import click

from septum.cli import names
from septum.cli.compare import _tell
from septum.cli.output import width, write, write_json


@click.command(short_help="Settle the claims of the debate.")
@click.argument("chosen", metavar="[CLAIM]...", nargs=-1)
@click.option("--list", "only_list", is_flag=True, help="Name the claims, and settle none.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def claims(context: click.Context, chosen: Sequence[str], only_list: bool, as_json: bool) -> None:
    """Settle what was claimed on the lists: each claim is a query, and its answer an exploration.

    CLAIM is the name of one (default: all of them).
    """
    from septum.check.claims import CLAIMS
    from septum.cli.listing import table
    from septum.report import claims as report

    known = {claim.name: claim for claim in CLAIMS}
    for name in chosen:
        names.known("claim", name, known)
    wanted = [known[name] for name in dict.fromkeys(chosen)] or list(CLAIMS)
    if only_list:
        write(table({claim.name: f"{claim.says} ({claim.by})" for claim in wanted}, width()))
        return
    scored = []
    for number, claim in enumerate(wanted, 1):
        _tell(f"{number}/{len(wanted)} {claim.name}")
        scored.append((claim, claim.query()))
    _tell("")
    if as_json:
        write_json(report.document(scored))
    else:
        write(report.render(scored, width=width()))
    context.exit(0)
