"""The command line with a check that answers from a table, so that only the command line is tested."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from septum.check.result import Result
from septum.cli import main
from septum.lang.errors import UserError
from septum.lang.model import Model, Property, Scenario
from septum.lang.struct import Struct
from tests.report.samples import HOLDS, INCOMPLETE, NOT_APPLICABLE, VACUOUS, VIOLATED

Answer = Result | BaseException | Callable[..., Result]


class World(Struct):
    """Nothing: no scenario of these tests runs."""


@dataclass
class Checker:
    """The package septum.check as these tests want it: `answers` by scenario, `asked` what it was asked."""

    directory: Path
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def designs(self) -> dict[str, Any]:
        titles = {"dpamt_v4": "The external cache behind x86 ops", "upstream": "The caches as merged before Dynamic PAMT"}
        return {name: SimpleNamespace(name=name, title=title, file=self._file(name)) for name, title in titles.items()}

    def load(self, design: str) -> Model:
        file = self._file(design)
        if "syntax" in file.read_text():
            raise UserError(f"{design}:1: invalid syntax")
        scenarios = tuple(Scenario(name, f"The title of {name}", lambda setup: None) for name in self.answers)
        properties = (Property("custody", "A page has one owner"), Property("initial value", "No walker reads a zero entry"))
        return Model(Path(design).stem, World, scenarios, properties, file=file)

    def check(self, model: Model, scenario: str, **options: Any) -> Result:
        self.asked.append((model.name, scenario, options))
        answer = self.answers[scenario]
        if isinstance(answer, BaseException):
            raise answer
        found = answer(**options) if callable(answer) else answer
        return replace(found, design=model.name, scenario=scenario)

    def explain(self, token: str, design: str = "") -> Result:
        if not token.startswith("s"):
            raise UserError(f"{token}: no token of this septum")
        return VIOLATED

    def _file(self, design: str) -> Path:
        if design.endswith(".py"):
            return Path(design)
        file = self.directory / f"{design}.py"
        file.write_text(f'"""The design {design}."""\n')
        return file


@pytest.fixture
def checker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Checker:
    fake = Checker(tmp_path, {"same_gfn": HOLDS, "zap": HOLDS})
    rooms = {name: importlib.import_module(f"septum.check.{name}") for name in ("loading", "check", "explain")}
    known = rooms["loading"].sides()
    monkeypatch.setattr(rooms["loading"], "sides", lambda: known)
    for name, room in {"designs": "loading", "load": "loading", "check": "check", "explain": "explain"}.items():
        monkeypatch.setattr(rooms[room], name, getattr(fake, name))
    return fake


@dataclass
class Outcome:
    """How a command line ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def septum(checker: Checker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Outcome:
        status = main(arguments)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


VERDICTS = {"holds": HOLDS, "violated": VIOLATED, "vacuous": VACUOUS, "incomplete": INCOMPLETE, "not applicable": NOT_APPLICABLE}
