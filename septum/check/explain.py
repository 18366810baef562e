"""What a token says: the schedule of a counterexample, replayed in the Python engine."""

from __future__ import annotations

from septum.check import tokens
from septum.check.loading import designs, load, sides
from septum.check.races import racing_trace
from septum.check.result import Counterexample, Result, Verdict
from septum.check.trace import End, trace
from septum.check.versions import patch_applied
from septum.explore.build import ASSERTS, DEADLOCK, PROGRESS, RACE, Build, build
from septum.lang.errors import EnginesDisagree, UserError
from septum.lang.model import Model


def explain(token: str, design: str = "") -> Result:
    """Replays a counterexample from its token in the Python engine; UserError where the token belongs to something else."""
    read = tokens.read(token)
    _check_patch(read)
    for name in [design] if design else [*designs(), *sides()]:
        model = load(name)
        if design or tokens.name_hash(model.name) == read.design:
            return _explained(model, read, token)
    raise UserError("the token belongs to no built-in design; name the design's file: septum explain TOKEN DESIGN")


def schedule_of(model: Model, token: str) -> tuple[Build, tokens.Schedule]:
    """The scenario that a token was made for, and the schedule; UserError where the token is not one of the model."""
    read = tokens.read(token)
    _check_patch(read)
    return _built(model, read), read.schedule


def _check_patch(read: tokens.Token) -> None:
    name, applied = patch_applied()
    if read.patch and not applied:
        raise UserError("the token was made of a model with a patch, and needs it: septum explain TOKEN DESIGN --patch FILE")
    if read.patch != applied:
        raise UserError(f"the token was made {'with another patch than' if read.patch else 'without'} {name}")


def _built(model: Model, read: tokens.Token) -> Build:
    scenario = next((one for one in model.scenarios if tokens.name_hash(one.name) == read.scenario), None)
    if scenario is None or tokens.name_hash(model.name) != read.design:
        raise UserError(f"the token is not one of {model.name}; name the design that it was made for")
    built = build(model, scenario, read.sizes, _judged(model, read))
    sites = built.translation.sites
    known = all(one < len(sites) and sites[one].is_assertion for one in read.excepted)
    if tokens.digest(built) != read.digest or not known:
        raise UserError(f"the token was made with another version of {model.name} or of the model; check again for a new one")
    return built.setting_aside(read.excepted)


def _explained(model: Model, read: tokens.Token, token: str) -> Result:
    built = _built(model, read)
    try:
        racing = racing_trace(built, read.schedule) if read.race else None
        end = End.DEADLOCK if read.deadlock else End.EVENT if read.event else End.VIOLATION
        found = racing.trace if racing else trace(built, read.schedule, end, read.loop)
    except EnginesDisagree as error:  # the check that wrote a token has replayed it: this is one that nobody wrote
        raise UserError(f"the token does not end as it claims: {error}") from None
    race = racing.race if racing else None
    counterexample = Counterexample(found.steps, found.threads, token, None, read.loop, race, found.behind)
    return Result(
        model.name,
        built.scenario.name,
        Verdict.REACHED if read.event else Verdict.VIOLATED,
        found.property,
        found.clause,
        depth=len(found.steps),
        place=found.place,
        counterexample=counterexample,
        engine="python",
    )


def _judged(model: Model, read: tokens.Token) -> str:
    """The one property that the token's check judged, "" if it judged all."""
    names = [ASSERTS, DEADLOCK, PROGRESS, RACE, *(one.name for one in model.properties)]
    judged = [name for name in names if tokens.name_hash(name) == read.judged]
    if read.judged and not judged:
        raise UserError(f"the token judges a property that {model.name} does not have; check again for a new one")
    return judged[0] if judged else ""
