"""A small part of what `make fuzz` tries of commands: models that were changed, and disks that are full."""

from __future__ import annotations

import random
import sys

import pytest

from septum.check import tokens
from septum.cli import main
from tests.fuzz import disk, models

MODELS, PLACES = 30, 8


def test_a_model_that_was_changed_has_a_verdict_or_is_bad_input(tmp_path, capsys):
    """In the Python engine, so that nothing is compiled."""
    [text, *_], chance, came = models.sources(), random.Random(1), []
    for number in range(MODELS):
        path = tmp_path / f"model{number}.py"
        path.write_text(models.changed(text, chance))
        came.append(main(["check", str(path), "--engine", "python", "--budget", "1s,1k"]))
        out, err = capsys.readouterr()
        assert "Traceback" not in err and "defect" not in err, path.read_text()
        assert out if came[-1] in (0, 1) else out + err
    assert set(came) <= {0, 1, 2, 3}
    assert {1, 2} <= set(came)


@pytest.mark.skipif(sys.platform != "linux", reason="a library is put before the C library")
def test_a_full_disk_is_told_and_leaves_nothing_half():
    run = disk.started(PLACES, 600, "cache", "schedule", "new", "record")
    assert run.returncode == 0, run.stdout + run.stderr
    for name in ("cache", "schedule", "new", "record"):
        assert f"full disk, {name}: " in run.stdout
    assert run.stdout.count("refused") == 4, run.stdout


def test_another_schedule_is_no_half_file_but_a_cut_one_is():
    whole = f"{tokens._spelled(bytes(9))}\n".encode()
    ended = [disk.Ended(2, "", "septum: full", {"a.schedule": content}) for content in (whole, whole[:-1], whole[:9], b"\xff")]
    clean = disk.Ended(2, "", "", {})
    assert [disk.judged(one, clean).split(":")[0] for one in ended] == ["refused", *["HALF A FILE"] * 3]
