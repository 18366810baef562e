"""`septum simulate`: what it prints, how it ends, and that kept results are not played again."""

import json
from pathlib import Path
from typing import Any

import pytest

from septum.cli import main
from septum.lang.model import Model
from septum.simulate import simulate
from septum.simulate.machine import Broken
from septum.simulate.simulate import Simulated

LEAKY = '''"""An S-EPT page that is reclaimed and forgotten."""

from septum.designs.upstream import design as upstream
from septum.kvm.design import Design
from septum.kvm.vmx.tdx import tdx_sept_free_private_spt

design = Design("leaky", base=upstream)


@design.process
def free_external_spt(m, vm, spt):
    error = yield from tdx_sept_free_private_spt(m, vm, spt)
    m.sp[spt].external_spt = 0
'''


def test_a_result_is_printed_kept_and_not_played_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, quickly_compiled: None
) -> None:
    command = ["simulate", "upstream", "--memory", "8MiB", "--workload", "teardown", "--resume", str(tmp_path / "kept.json")]
    assert main([*command, "--json"]) == 0
    [first] = json.loads(capsys.readouterr().out)["simulations"]
    assert (first["touched"], first["finished"], first["leaks"]) == (2048, True, {})
    monkeypatch.setattr("septum.simulate.simulate.simulate", None)
    assert main([*command, "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("upstream,teardown,True,")
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "mirror tables" in text
    assert "Measured by nobody" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_design_that_loses_pages_is_told_at_the_first_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quickly_compiled: None
) -> None:
    path = tmp_path / "leaky.py"
    path.write_text(LEAKY)
    assert main(["simulate", str(path), "--memory", "8MiB", "--workload", "teardown"]) == 1
    assert "leaky: custody: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("second", "status"), [(KeyboardInterrupt(), 3), (Broken("dpamt_v5: custody: it leaks"), 1)], ids=["Ctrl-C", "a clause"]
)
def test_what_was_played_before_the_end_is_told(
    second: BaseException,
    status: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    quickly_compiled: None,
) -> None:
    def play(model: Model, *options: Any) -> Simulated:
        if model.name != "upstream":
            raise second
        return played(model, *options)

    played = simulate.simulate
    monkeypatch.setattr(simulate, "simulate", play)
    assert main(["simulate", "upstream", "dpamt_v5", "--memory", "8MiB", "--json"]) == status
    assert [one["design"] for one in json.loads(capsys.readouterr().out)["simulations"]] == ["upstream"]


@pytest.mark.parametrize(
    "wrong",
    [
        ["upstream", "--memory", "12"], ["upstream", "--workload", "nap"], ["upstream", "--vcpus", "62"],
        ["upstream", "--host", "/nowhere"], ["dpamt_v5", "--module", "1.5.16"], ["upstream", "--plot", "x.pdf"], ["nobody"],
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused_with_a_word(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *wrong]) == 2
    said = capsys.readouterr().err
    assert said
    assert "Traceback" not in said
