"""Results in a file, so that a run that was stopped goes on with what it has not: `septum simulate --resume`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from septum.check.versions import design_version, model_version
from septum.lang import UserError
from septum.lang.model import Model
from septum.lang.whole import write_whole
from septum.simulate.simulate import Allocations, Lock, Options, Seamcall, Simulated
from septum.simulate.stage import Sample


class Kept:
    """The results in a file, each under a hash of all that it follows from: model, design, workload, options, costs.

    UserError for a file that has none.
    """

    def __init__(self, file: str, asked: tuple[object, ...]) -> None:
        self._path, self._asked = Path(file), asked
        self._found: dict[str, Any] = {}
        if self._path.exists():
            try:
                self._found = json.loads(self._path.read_text())["simulations"]
            except (OSError, ValueError, KeyError, TypeError):
                raise UserError(f"--resume {file}: holds no simulations; name another file, and it is made") from None

    def find(self, model: Model) -> Simulated | None:
        """The result for a design, if it is there."""
        one = self._found.get(self._key(model))
        return _simulated(one) if one else None

    def keep(self, model: Model, one: Simulated) -> None:
        """Adds a result to the file."""
        self._found[self._key(model)] = asdict(one)
        write_whole(self._path, json.dumps({"simulations": self._found}))

    def _key(self, model: Model) -> str:
        whole = f"{model_version()} {design_version(model)} {model.name} {self._asked!r}"
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _simulated(one: dict[str, Any]) -> Simulated:
    lists = {"seamcalls": Seamcall, "allocations": Allocations, "locks": Lock}
    made: dict[str, Any] = {name: tuple(of(**each) for each in one[name]) for name, of in lists.items()}
    samples = tuple(Sample(**{**each, "pages": tuple(each["pages"])}) for each in one["samples"])
    return Simulated(**{**one, **made, "samples": samples, "options": Options(**one["options"])})
