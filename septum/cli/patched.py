"""`--patch`: the command is run by a copy of septum whose model has the patch: all it imports, keeps and says is the copy's."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from septum.check.versions import PACKAGE, PATCH, patch_applied
from septum.cli.supervise import executed
from septum.lang.whole import write_whole

Command = Callable[..., Any]


def _given(context: click.Context, _option: click.Parameter, patch: str | None) -> None:
    """In the copy the patch is there already."""
    if patch and not patch_applied()[0]:
        context.exit(_by_a_copy(patch, context.obj))


patch_option: Callable[[Command], Command] = click.option(
    "--patch", metavar="FILE", expose_value=False, is_eager=True, callback=_given,
    help="With the model as this unified diff of its files changes it.",
)  # fmt: skip


def _by_a_copy(patch: str, arguments: Sequence[str]) -> int:
    """Runs the command line with the patch; its exit status. UserError where the patch does not apply."""
    from septum.sources.apply import patched
    from septum.sources.series import text_of

    text = text_of(patch)
    files = patched(text, patch)
    with tempfile.TemporaryDirectory(prefix="septum-patched-") as directory:
        copy = Path(directory) / PACKAGE.name
        shutil.copytree(PACKAGE, copy)
        for path, after in files.items():
            write_whole(copy / path, after)
        write_whole(copy / PATCH.name, f"{patch}\n{text}")
        search = os.pathsep.join(filter(None, (directory, os.environ.get("PYTHONPATH"))))
        return executed([sys.executable, "-P", "-m", PACKAGE.name, *arguments], {**os.environ, "PYTHONPATH": search})
