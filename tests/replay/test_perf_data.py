"""A perf.data says what its text says: to a reader of its records, and to perf, whose text is followed with its losses."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess

import pytest

from benchmarks.perf_data import LOST, SAMPLE, convert
from septum.replay.replay import replay
from septum.replay.result import Verdict
from septum.replay.source import PERF
from tests.replay import forms
from tests.replay.samples import SMALL, file_of, text_of

installed = pytest.mark.skipif(not shutil.which("perf"), reason="perf is not installed")
TEXT = re.sub(r"^#.*\n|^.*tracing_mark_write.*\n", "", text_of(SMALL), flags=re.MULTILINE)


def data_of(tmp_path, text):
    (tmp_path / "trace").write_text(text)
    convert(tmp_path / "trace", tmp_path / "perf.data")
    return tmp_path / "perf.data"


def with_a_loss() -> str:
    """Seventeen events were lost in the middle of the trace."""
    lines = TEXT.splitlines(keepends=True)
    return "".join([*lines[:400], "CPU:1 [LOST 17 EVENTS]\n", *lines[417:]])


def records(data: bytes) -> list[tuple[int, bytes]]:
    """Kind and body of each record."""
    at, size = struct.unpack_from("<QQ", data, 40)
    end, found = at + size, []
    while at < end:
        kind, _, length = struct.unpack_from("<IHH", data, at)
        found.append((kind, data[at + 8 : at + length]))
        at += length
    return found


def test_every_line_is_a_sample_and_every_loss_a_record(tmp_path):
    text = with_a_loss()
    found = records(data_of(tmp_path, text).read_bytes())
    samples = [struct.unpack_from("<16xIIQI", body) for kind, body in found if kind == SAMPLE]
    lines = [(4711, int(pid), int(seconds + micros), int(cpu)) for _, pid, cpu, _, seconds, micros, *_ in forms.events(text)]
    assert [(tgid, pid, time // 1000, cpu) for tgid, pid, time, cpu in samples] == lines
    assert [struct.unpack_from("<8xQ", body) for kind, body in found if kind == LOST] == [(17,)]


@installed
def test_perf_prints_the_lines_of_the_text(tmp_path):
    file = data_of(tmp_path, TEXT)
    printed = subprocess.run([*PERF.command, file], capture_output=True, text=True, check=True).stdout
    line = re.compile(r" *(\S+) +4711/(\d+) +\[(\d+)\] +(\d+)\.(\d+): +(?:kvm|kvmmmu):(\w+): (.*)")
    said = [line.fullmatch(one).groups() for one in printed.splitlines()]
    assert said == [
        (task, pid, cpu, seconds, micros, name, what) for task, pid, cpu, _, seconds, micros, name, what in forms.events(TEXT)
    ]


@installed
@pytest.mark.parametrize("name", [SMALL, "7.3-dirty-eager"])
def test_through_perf_a_replay_finds_the_same(name, tmp_path):
    convert(file_of(name), tmp_path / "perf.data")
    text, data = replay(str(file_of(name))), replay(str(tmp_path / "perf.data"))
    assert (data.verdict, data.rules) == (text.verdict, text.rules)
    assert {**data.steps, "other events": 0} == {**text.steps, "other events": 0}
    assert (data.reading.unreadable, data.reading.losses) == (0, 0)


@installed
def test_what_perf_lost_is_shown_and_read(tmp_path):
    result = replay(str(data_of(tmp_path, with_a_loss())))
    assert (result.verdict, result.reading.losses, result.reading.lost) == (Verdict.FOLLOWED, 1, 17)
    assert 0 < result.checked.learned < result.checked.compared


@installed
def test_a_wrong_page_in_a_perf_data_is_told(tmp_path):
    right = "old_spte 8000000000000000 new_spte 11f"
    result = replay(str(data_of(tmp_path, TEXT.replace(right, right.replace("11f", "71f"), 1))))
    assert result.verdict is Verdict.DIVERGED
