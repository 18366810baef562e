"""`--html`: what a command found, as a page in one file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from septum.check.result import Result

Command = Callable[..., Any]

html_option: Callable[[Command], Command] = click.option(
    "--html", metavar="FILE", help="Also write a page to look at: one file, which opens anywhere."
)


def write_page(name: str, title: str, results: Sequence[Result]) -> None:
    """Results as a page, with the states of each counterexample drawn."""
    from septum.cli import names
    from septum.page.document import document
    from septum.page.file import write
    from septum.page.sections import document as sections
    from septum.page.sections import of_results
    from septum.report.terminal import render

    models = {one.design: names.load(one.design) for one in results if one.counterexample}
    write(name, title, {**document(results, models), **sections(of_results(results))}, render(results))
