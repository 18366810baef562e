"""What a shell completes: names of designs, and of the scenarios and properties of those that stand on the line already.

With the options that name these, which several commands have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from septum.cli import names
from septum.lang.errors import SeptumError
from septum.lang.model import Model


def designs(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The built-in designs and models that begin so, and files, of which the shell knows."""
    from septum.check import loading

    return [*_beginning(begun, [*loading.designs(), *loading.sides()]), CompletionItem(begun, type="file")]


def scenarios(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The scenarios of the designs on the line, or of every one where there is none yet."""
    applicable = (one.name for model in _models(context) for one in model.scenarios if one.needs <= model.operations)
    return _beginning(begun, dict.fromkeys(applicable))


def properties(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The properties of these."""
    return _beginning(begun, names.properties(_models(context)))


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def scenario_option(of: str = "Only this scenario (default: all).") -> Decorator:
    """The option --scenario, and what it is said to be."""
    return click.option("--scenario", "scenarios", metavar="NAME", multiple=True, shell_complete=scenarios, help=of)


property_option = click.option(
    "--property", metavar="NAME", default="", shell_complete=properties, help="Only this property (default: all)."
)


def _beginning(begun: str, known: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in known if name.startswith(begun)]


def _models(context: click.Context) -> Iterator[Model]:
    """Those that can be loaded: a shell is told of no mistake."""
    from septum.check import loading

    given = [context.args, *(context.params.get(name) for name in ("design", "designs", "file", "one", "other"))]
    named = [name for one in given if one for name in ([one] if isinstance(one, str) else one)]
    for name in named or loading.designs():
        try:
            yield names.load(name)
        except SeptumError:
            continue
