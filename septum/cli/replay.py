"""`septum replay`: a trace of a real kernel, followed by the model."""

from __future__ import annotations

from pathlib import Path

import click

from septum.cli.output import write


@click.command(short_help="Follow a trace of a real kernel.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.pass_context
def replay(context: click.Context, /, trace: Path) -> None:
    """Follow the KVM events of a trace, step by step, in the model."""
    from septum.replay.session import replay_file

    found = replay_file(trace)
    write(found)
