"""Names that a user typed: a design, a scenario, a property; an unknown one is met with the nearest known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from septum.lang.errors import UserError
from septum.lang.model import Model

# Findings of the explorer itself; every model has them, whether or not it lists them.
ALWAYS = {
    "asserts": "no other assertion, WARN_ON or BUG_ON of the model fails",
    "deadlock": "no thread waits for ever",
    "race": "no step is one that another thread may come into, as no lock keeps it out",
    "progress": "no thread goes round for ever; judged with --progress",
}


def known(kind: str, name: str, names: Iterable[str], of: str = "") -> str:
    """`name`, if it is one of `names`; otherwise a UserError with a suggestion."""
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(names)) or 'none'}"
    raise UserError(f"unknown {kind} {name}{f' of {of}' if of else ''}; {hint}")


def load(design: str) -> Model:
    """The model of a built-in design or of a user's file."""
    from septum.check import loading

    if is_file(design):
        if not Path(design).is_file():
            wrong = "is a directory" if Path(design).is_dir() else "no such file"
            raise UserError(f"{design}: {wrong}; DESIGN is a name or a Python file")
    elif Path(f"{design}.py").is_file() and design not in [*loading.designs(), *loading.sides()]:
        raise UserError(f"unknown design {design}; did you mean {design}.py?")
    else:
        known("design", design, [*loading.designs(), *loading.sides()])
    return loading.load(design)


def load_design(design: str, command: str) -> Model:
    """The model of a design of KVM: only of such a one a command can tell where pages come from."""
    from septum.kvm.machine import Machine

    model = load(design)
    if model.world is not Machine:
        raise UserError(f"{design} is a model of its own; {command} wants designs of KVM")
    return model


def is_file(design: str) -> bool:
    """Whether a design is named by its file."""
    return "/" in design or design.endswith(".py")


def scenarios(models: Iterable[Model]) -> dict[str, str]:
    """Name and title of every scenario that one of the models has."""
    return {scenario.name: scenario.title for model in models for scenario in model.scenarios}


def scopes(models: Iterable[Model]) -> dict[str, str]:
    """Name and title of every scope that one of the models has."""
    return {one.name: one.title for model in models for one in model.scopes}


def properties(models: Iterable[Model]) -> dict[str, str]:
    """Name and title of every property that one of the models has; one that has several clauses has all their titles."""
    titles: dict[str, dict[str, None]] = {}
    for of in (of for model in models for of in model.properties):
        titles.setdefault(of.name, {}).update({of.title: None} if of.title else {})
    return ALWAYS | {name: "; ".join(of) for name, of in titles.items()}
