"""Whether a model can be translated, without a compiler and without exploring."""

from __future__ import annotations

from dataclasses import dataclass

from septum.explore.build import build, together
from septum.lang.errors import UserError
from septum.lang.model import Model


@dataclass(frozen=True)
class Linted:
    """What was translated: the scenarios, those that do not apply to the model, and what is wrong, each with where it was met."""

    translated: tuple[str, ...]
    not_applicable: tuple[str, ...]
    wrong: dict[str, tuple[str, ...]]


def lint(model: Model) -> Linted:
    """Translates the scenarios of a model. Of those with the same sizes, the first thing that is wrong is told."""
    groups = together(model).values()
    translated, wrong = list[str](), dict[str, tuple[str, ...]]()
    for group in groups:
        names = tuple(one.name for one in group)
        try:
            build(model, group[0])
            translated += names
        except UserError as error:
            wrong[str(error)] = (*wrong.get(str(error), ()), *names)
    able = {one.name for group in groups for one in group}
    return Linted(tuple(translated), tuple(one.name for one in model.scenarios if one.name not in able), wrong)
