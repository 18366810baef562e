"""Which scenarios come to a function of the model, as the translator sees it: under the sizes of each, what they call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import CodeType, FunctionType

from septum.check.loading import load, sides
from septum.explore.build import Build, build
from septum.lang.model import Model, Scenario
from septum.sources.begin import Begun
from septum.sources.stands_for import Place, place_of
from septum.translate.tree import called


def scenarios(base: str, begun: Sequence[Begun]) -> dict[str, list[str]]:
    """The scenarios that come to what a patch touches, by model; "" is the design itself, which has those of the design `base`.

    Those of KVM's own side, and of plain VMs, are looked at for what no scenario of a design comes to.
    """
    side = f"kvm_{base}" if f"kvm_{base}" in sides() else "kvm_upstream"
    left = [one for one in begun if one.places]
    found: dict[str, list[str]] = {}
    for name in (base, side, "kvm"):
        if left:
            model = load(name)
            by_place = reaching(model, {place for one in left for place in one.places})
            come = {scenario for names in by_place.values() for scenario in names}
            left = [one for one in left if not any(by_place[place] for place in one.places)]
            if come:
                found["" if name == base else name] = [one.name for one in model.scenarios if one.name in come]
    return found


def reaching(model: Model, wanted: Iterable[Place]) -> dict[Place, list[str]]:
    """The scenarios of a model, in its order, in which a thread may come to each of these functions."""
    found: dict[Place, list[str]] = {place: [] for place in wanted}
    for scenario in model.scenarios:
        if scenario.needs <= model.operations and named(model, scenario) & found.keys():
            for place in _places(build(model, scenario)) & found.keys():
                found[place].append(scenario.name)
    return found


def named(model: Model, scenario: Scenario) -> set[Place]:
    """Every function that a scenario may come to by the names that functions hold: more than it comes to, and quickly found."""
    operations = {of.__name__: bound for of, bound in model.bindings.items() if isinstance(of, FunctionType)}
    waiting: list[object] = [scenario.start]
    seen: set[FunctionType] = set()
    while waiting:
        function = waiting.pop()
        if isinstance(function, FunctionType) and function not in seen and function.__module__.startswith("septum."):
            seen.add(function)
            waiting += [cell.cell_contents for cell in function.__closure__ or ()]
            for name in _names(function.__code__):
                held = function.__globals__.get(name)
                waiting += [operations.get(name), *(vars(held).values() if isinstance(held, type) else [held])]
    return {place_of(function) for function in seen}


def _names(code: CodeType) -> set[str]:
    """The names in a function, and in the functions inside of it."""
    inside = (_names(one) for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*inside)


def _places(built: Build) -> set[Place]:
    """Every function that the threads of a scenario may come to."""
    translation = built.translation
    calls = (call for thread in built.threads for call in thread.calls)
    roots = (translation.entries[translation.entry(call.process, len(call.arguments))] for call in calls)
    return {place_of(function.source.function) for function in called(roots)}
