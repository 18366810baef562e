"""Traces that somebody made to do harm, or that went through a bad disk: each ends soon, in a result or a refusal."""

from __future__ import annotations

import gzip
import random
import resource

import pytest

from septum.replay.replay import replay
from septum.replay.result import Verdict
from septum.replay.session import shown
from tests.replay.samples import SMALL, replayed, text_of

CHANGED = (
    "x-{pid} [{cpu}] {time}.0: kvm_tdp_mmu_spte_changed: as id {as_id} gfn {gfn} level {level} old_spte {old} new_spte {new}"
)
GOOD = {"pid": "77", "cpu": "001", "time": "12", "as_id": "0", "gfn": "0", "level": "1", "old": "8000000000000000", "new": "805"}


@pytest.mark.parametrize(
    "field",
    [{"pid": "4194305"}, {"pid": "99999999999999999999999"}, {"cpu": "8192"}, {"cpu": "65537"}, {"as_id": "2"}, {"as_id": "256"},
     {"level": "0"}, {"level": "6"}, {"level": "257"}, {"gfn": "200000000000"}, {"gfn": "1" * 17}, {"old": "1" * 17}, {"new": ""},
     {"time": "99999999999"}],
)  # fmt: skip
def test_a_number_out_of_range_makes_a_line_unreadable(field, tmp_path):
    result = replayed(tmp_path, CHANGED.format(**{**GOOD, **field}) + "\n")
    assert (result.verdict, result.reading.unreadable, result.reading.events) == (Verdict.NOTHING, 1, 0)
    assert replayed(tmp_path, CHANGED.format(**GOOD) + "\n").reading.events == 1


@pytest.mark.parametrize(
    "call", ["level=ffffffffffffffff", "level=5", "pg_level=0", "pg_level=6", "gpa=ffffffffffffffff level=0"]
)
def test_a_seamcall_at_no_level_is_unreadable(call, tmp_path):
    place = call if call.startswith("gpa") else f"gpa=0x1000 {call}"
    result = replayed(tmp_path, f"x-77 [001] 12.000001: tdh_mem_range_block: (f <- g) {place} ret=0x8000\n")
    assert result.reading.unreadable == 1


def test_a_line_without_end_takes_no_memory_and_is_passed_over(tmp_path):
    lines = text_of(SMALL).splitlines()
    file = tmp_path / "trace.gz"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        packed.write(("\n".join(lines[:50]) + "\n").encode())
        for _ in range(256):
            packed.write(b"A" * (1 << 20))
        packed.write(("\n" + "\n".join(lines[50:]) + "\n").encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = replay(str(file))
    assert result.verdict is Verdict.FOLLOWED
    assert (result.reading.too_long, result.reading.losses, result.followed) == (1, 0, 2893)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_events_of_other_kinds_are_not_kept(tmp_path):
    other = "          <idle>-0     [002] d..2.    38.790000: sched_switch: prev_comm=swapper/2 prev_pid=0\n"
    file = tmp_path / "trace.gz"
    file.write_bytes(gzip.compress(text_of(SMALL).encode() + other.encode() * 500_000, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert replay(str(file)).reading.unknown == {"sched_switch": 500_000}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_many_threads_on_one_entry_and_on_one_slot_cost_little(tmp_path):
    lines = [CHANGED.format(**{**GOOD, "pid": n, "time": n, "old": "805", "new": "807"}) for n in range(1, 3000)]
    lines += [f"x-{16384 * (n % 256)} [000] {3000 + n}.0: kvm_entry: vcpu 0" for n in range(20_000)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    replayed(tmp_path, "\n".join(lines) + "\n", keep_going=True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 30  # without a bound it is minutes


@pytest.mark.parametrize("text", ["\x1b[31m", "\x1b]0;title\x07", "\x9b31m", "\u202e", "\x00", "\x7f"])
def test_what_is_shown_is_escaped(text):
    assert shown(f"a {text} b".encode()).isprintable()


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_archive_is_followed_up_to_the_damage(seed, tmp_path):
    rng = random.Random(seed)
    data = bytearray(gzip.compress(text_of(SMALL).encode()))
    for _ in range(20):
        data[rng.randrange(len(data) // 2, len(data))] ^= 1 << rng.randrange(8)
    file = tmp_path / "trace.gz"
    file.write_bytes(data)
    result = replay(str(file), keep_going=True)
    assert "cut or damaged" in result.reading.truncated
    assert result.followed > 100
