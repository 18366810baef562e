"""A verdict is kept, and stands for all that decides about it: what was explored to the end is not explored again.

Kept is only what a check promises: that all was explored and what it came to, or a shortest schedule, which is replayed. What a
budget ended is not kept. Whatever may change a verdict, or a line of the report, is in the key; of the package all files but
those of the designs, which are in the C, the tables and the places in the source.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from septum.check import tokens
from septum.check.excepted import Aside
from septum.check.races import racing_trace
from septum.check.result import Counterexample, Excepted, Result, Verdict
from septum.check.trace import End, trace
from septum.check.versions import patch_applied
from septum.explore.build import Build
from septum.explore.watching import Watching
from septum.lang.errors import EnginesDisagree
from septum.lang.paths import shown_path
from septum.translate.cache import keep, kept
from septum.translate.compile import build_command

PACKAGE = Path(__file__).parents[1]
FIELDS = ("property", "clause", "reason", "states", "transitions", "depth", "seconds", "collision", "witnesses", "events",
          "unexecuted", "store_buffer", "bound_met", "place")  # fmt: skip


@dataclass(frozen=True)
class KeptVerdict:
    """The verdict of one check, under the scope of its build: `sizes` are those that were asked for."""

    built: Build
    sizes: Mapping[str, int]
    reduce: frozenset[str]
    watching: Watching
    livelocks: bool
    aside: Aside

    @functools.cached_property
    def key(self) -> str:
        """A hash of all that decides about the verdict."""
        built, of = self.built, self.built.translation
        threads = [
            (one.name, one.daemon, [(of.entry(call.process, len(call.arguments)), *call.arguments) for call in one.calls])
            for one in built.threads
        ]
        names = [of.witnesses.index(one) if one in of.witnesses else one.name for one in built.scenario.witnesses]
        tables = built.tables()
        parts = (
            package_digest(), sys.version, build_command(), of.code, built.world, threads, sorted(built.ignored), built.judged,
            patch_applied(), built.deadlocks, [(name, sorted(sites)) for name, sites in self.aside.sites.items()],
            built.model.name, built.scenario.name, str(built.model.file), [(one.name, one.value) for one in built.sizes],
            sorted(self.sizes.items()), sorted(self.reduce), self.watching.value, self.livelocks,
            list(of.sites), list(of.named), list(of.covered_lines), names, [one.name for one in built.scenario.witnesses],
            [(one.name, one.at_rest) for one in built.model.properties],
            tables.content, tables.meetings(of.bytes, of.world_size).content, built.automorphisms().content,
        )  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def find(self) -> Result | None:
        """What was kept; None if there is nothing, or anything that a check with this key cannot have left."""
        content = kept(self._name)
        try:
            said = json.loads(content) if content else {}
            return self._result(said) if said.get("key") == self.key else None
        except (ValueError, LookupError, TypeError, AttributeError, EnginesDisagree):
            return None

    def keep(self, result: Result) -> Result:
        """The result, which is kept if it is one of all that there is to explore."""
        found = result.counterexample
        if result.verdict in (Verdict.HOLDS, Verdict.VACUOUS) or (found and found.shortest):
            said: dict[str, Any] = {name: getattr(result, name) for name in FIELDS}
            said |= {"key": self.key, "verdict": str(result.verdict), "found": _said(found) if found else None}
            said["excepted"] = [[one.clause, one.failed, one.ended] for one in result.excepted]
            keep(self._name, json.dumps(said).encode())
        return result

    @property
    def _name(self) -> str:
        return f"{self.key[:32]}.verdict"

    def _result(self, said: Mapping[str, Any]) -> Result:
        values = {name: said[name] for name in FIELDS} | {name: tuple(said[name]) for name in ("events", "unexecuted")}
        found = self._replayed(said["found"], values) if said["found"] else None
        excepted = tuple(Excepted(clause, tuple(failed), tuple(ended)) for clause, failed, ended in said["excepted"])
        model, sizes = self.built.model, {size.name: size.value for size in self.built.sizes}
        return Result(
            model.name, self.built.scenario.name, Verdict(said["verdict"]), scope=sizes,
            file=shown_path(str(model.file)) if model.file else "", kept=True, counterexample=found,
            excepted=excepted, own_locks=self.built.own_locks, **values,
        )  # fmt: skip

    def _replayed(self, said: Mapping[str, Any], values: Mapping[str, Any]) -> Counterexample:
        """EnginesDisagree where the schedule does not end as the verdict says."""
        schedule = tuple((thread, choice) for thread, choice in said["schedule"])
        end, loop = End.DEADLOCK if said["deadlock"] else End.VIOLATION, said["loop"]
        racing = racing_trace(self.built, schedule) if said["race"] else None
        found, race = (racing.trace, racing.race) if racing else (trace(self.built, schedule, end, loop), None)
        if (found.property, found.clause, len(found.steps)) != (values["property"], values["clause"], values["depth"]):
            raise EnginesDisagree("a kept schedule ends otherwise")
        kinds = said["deadlock"], Path("."), loop, said["race"]
        token = tokens.write(self.built, schedule, dict(self.sizes), *kinds, excepted=found.passed)
        return Counterexample(found.steps, found.threads, token, True, loop, race, found.behind)


def _said(found: Counterexample) -> dict[str, Any]:
    read = tokens.read(found.token)
    return {"schedule": read.schedule, "deadlock": read.deadlock, "loop": read.loop, "race": read.race}


@functools.cache
def package_digest() -> str:
    """The hash of septum itself, without its designs."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".c", ".h") and not path.is_relative_to(PACKAGE / "designs"):
            digest.update(f"{path.relative_to(PACKAGE)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
