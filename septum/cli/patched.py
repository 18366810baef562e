"""`--patch`: the command is run by a copy of septum whose model has the patch: all it imports, keeps and says is the copy's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from septum.check.versions import PACKAGE, PATCH, patch_applied
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
        return _run([sys.executable, "-P", "-m", PACKAGE.name, *arguments], directory)


def _run(command: Sequence[str], directory: str) -> int:
    """A terminal tells both of Ctrl-C, and the other one says what is known; what is said to this one alone is passed on."""
    path = os.pathsep.join(filter(None, (directory, os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) as child:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN), signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        try:
            return child.wait()
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])
