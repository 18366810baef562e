"""What happens to traces: lost events, cut lines, unknown events, wrapped buffers, several VMs, a beginning inside a VM's life,
events out of order. Each is followed without a false alarm, and said."""

from __future__ import annotations

import random

import pytest

from septum.replay.result import Verdict
from tests.replay import forms
from tests.replay.samples import SAMPLES, SMALL, lines_of, replayed, text_of

FULL = 2893


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("part", [3, 2])
def test_lost_events_are_counted_and_entries_learned_anew(name, part, tmp_path):
    count = len(lines_of(name))
    result = replayed(tmp_path, forms.lost(text_of(name), count // part, count // part + 200))
    assert result, result.groups
    assert (result.reading.losses, result.reading.lost) == (1, 200)
    assert result.rules["learned"] > 0


@pytest.mark.parametrize("name", SAMPLES)
def test_a_wrapped_buffer_begins_inside(name, tmp_path):
    count = len(lines_of(name))
    result = replayed(tmp_path, forms.wrapped(text_of(name), count // 2))
    assert result, result.groups
    assert result.reading.wrapped > 0
    assert "the buffer lost its beginning" in result.notes[0]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("part", [5, 2])
def test_a_trace_may_begin_in_the_middle_of_a_vms_life(name, part, tmp_path):
    lines = lines_of(name)
    result = replayed(tmp_path, "\n".join(lines[len(lines) // part :]) + "\n")
    assert result, result.groups
    assert "begins in the middle" in result.notes[0]


@pytest.mark.parametrize("name", SAMPLES)
def test_lines_of_several_cpus_are_put_in_order_by_time(name, tmp_path):
    result = replayed(tmp_path, forms.shuffled(text_of(name)))
    assert result, result.groups
    assert result.reading.reordered == result.rules.get("time-order", 0)
    if "race" in name:
        assert result.reading.reordered > 0


def test_a_cut_line_counts_as_a_loss(tmp_path):
    lines = lines_of(SMALL)
    lines[1000] = lines[1000][:60]
    result = replayed(tmp_path, "\n".join(lines) + "\n")
    assert result, result.groups
    assert result.reading.unreadable == 1


def test_a_last_line_without_its_end_is_no_divergence(tmp_path):
    result = replayed(tmp_path, text_of(SMALL)[:100_000])
    assert result, result.groups


@pytest.mark.parametrize("noise", ["", "garbage", "\x00\xff", "kvm_tdp_mmu_spte_changed: as id", "   [001]", "x" * 100_000])
def test_lines_that_are_none_do_no_harm(noise, tmp_path):
    lines = lines_of(SMALL)
    result = replayed(tmp_path, "\n".join([*lines[:50], noise, *lines[50:]]) + "\n")
    assert result, result.groups


def test_events_of_other_kinds_are_counted_by_name(tmp_path):
    lines = lines_of(SMALL)
    other = "          <idle>-0     [002] d..2.    38.790000: sched_switch: prev_comm=swapper/2 prev_pid=0"
    result = replayed(tmp_path, "\n".join([*lines[:50], other, other, *lines[50:]]) + "\n")
    assert result
    assert result.reading.unknown == {"sched_switch": 2}


@pytest.mark.parametrize("name", SAMPLES)
def test_two_vms_are_told_apart_by_thread_group(name, tmp_path):
    text = forms.merged(text_of(name), forms.another_vm(text_of(name)))
    result = replayed(tmp_path, forms.with_tgid(text, lambda pid: 1 if int(pid) < 50000 else 2))
    assert result, result.groups
    assert result.vms == "2 by thread group"


@pytest.mark.parametrize("name", SAMPLES)
def test_without_thread_groups_the_nearest_pid_is_taken_and_said(name, tmp_path):
    result = replayed(tmp_path, forms.merged(text_of(name), forms.another_vm(text_of(name))))
    assert result, result.groups
    assert "undecidable without a TGID column" in result.vms


def test_more_threads_than_there_are_numbers_for_are_no_defect(tmp_path):
    lines = lines_of(SMALL)
    many = [
        f"            t-{pid} [003] .....    38.{790000 + pid % 9}: kvm_entry: vcpu 0, rip 0x0" for pid in range(60_000, 66_000)
    ]
    result = replayed(tmp_path, "\n".join([*lines[:13], *many, *lines[13:]]) + "\n")
    assert result.verdict is Verdict.FOLLOWED, result.groups
    assert result.followed == FULL + len(many)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_done_to_a_trace_it_is_followed_to_its_end(seed, tmp_path):
    rng = random.Random(seed)
    lines = lines_of(SMALL)
    for _ in range(40):
        at = rng.randrange(len(lines))
        other = rng.randrange(len(lines))
        damage = rng.randrange(5)
        if damage == 0:
            del lines[at : at + rng.randrange(20)]
        elif damage == 1:
            lines[at] = lines[at][: rng.randrange(100)]
        elif damage == 2:
            lines[at], lines[other] = lines[other], lines[at]
        elif damage == 3:
            lines[at] = lines[at].replace(rng.choice("0123456789abcdef"), rng.choice("0123456789abcdef"))
        else:
            lines.insert(at, rng.choice(["CPU:1 [LOST EVENTS]", lines[other]]))
    result = replayed(tmp_path, "\n".join(lines) + "\n", keep_going=True)
    assert result.reading.lines == len(lines)
    assert result.reading.unreadable + result.reading.losses > 0
    diverged = sum(group.count for group in result.groups)
    assert result.followed + diverged + sum(result.reading.unknown.values()) == result.reading.events
