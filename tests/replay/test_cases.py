"""Traces as people have them, cut from what real tools wrote: each is followed, refused with the reason that is true, or diverges
where a page was put in wrongly. What is said to be lost is what is lost."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from septum.cli.replay import replay as command
from septum.replay.replay import replay
from septum.replay.result import Result, Verdict

HERE = Path(__file__).parent / "cases"
F, D, N = Verdict.FOLLOWED, Verdict.DIVERGED, Verdict.NOTHING


@dataclass(frozen=True)
class Case:
    """What a trace has to give: the verdict, words of the reason, of a note, or of the divergence, and what was lost."""

    file: str
    verdict: Verdict
    says: str = ""
    losses: int = 0
    unreadable: int = 0


CASES = [
    Case("perf-g-stacks.txt", F),
    Case("tracefs-stacktrace.trace", F),
    Case("stack-ftrace.trace", D, "another PFN"),
    Case("perf-g-stacks-wrong-page.txt", D, "another PFN"),
    Case("tracefs-stacktrace-wrong-page.trace", D, "another PFN"),
    Case("perf-no-stacks-wrong-page.txt", D, "another PFN"),
    Case("stack-plain.trace", D, "another PFN"),
    Case("tracefs-sym-offset-marker.trace", F),
    Case("tracefs-printk-msg-only.trace", F),
    Case("perf-with-cpu-clock.txt", N, "no kvm_tdp_mmu_spte_changed"),
    Case("tracefs-comm-begins-with-hash.trace", F),
    Case("tgid-khugepaged.trace", F),
    Case("nx-huge-split-by-exec-fault.trace", F),
    Case("wrapped-begins-in-a-removal.trace", F, "lost its beginning"),
    Case("read-while-it-runs.trace", F, "lost its beginning"),
    Case("eager-split-by-vcpu-thread.trace", F),
    Case("tracecmd-dropped-told-late.txt", F, losses=1),
    Case("perf-lost-told-late.txt", F, losses=1),
    Case("wrapped-buffers-start-apart.trace", F, "lost its beginning"),
    Case("fast-page-fault-not-recorded.trace", F),
    Case("fast-page-fault-recorded.trace", F),
    Case("teardown-only-7.3.trace", F),
    Case("clock-uptime-ties.trace", N, "clock does not order the events of different CPUs"),
    Case("tracefs-one-cpu.trace", N, "one CPU of 4"),
    Case("perf-F-pid-only.txt", N, "the process and not the thread"),
    Case("tracecmd-clock-boot-r34.txt", F),
    Case("tracecmd-clock-boot-r31.txt", F),
    Case("tracecmd-l-latency.txt", F),
    Case("tracecmd-R-raw.txt", F),
    Case("tracecmd-r-one-event-raw.txt", F),
    Case("tracecmd-tsdiff.txt", F),
    Case("tracefs-fields.trace", F),
    Case("perf-F-without-cpu.txt", F),
    Case("perf-F-without-time.txt", N, "no time"),
    Case("tracefs-context0.trace", N, "context-info", unreadable=8),
    Case("tracefs-raw.trace", N, "options/raw"),
    Case("tracefs-hex.trace", N, "options/hex"),
    Case("perf-trace.txt", N, "perf trace"),
    Case("tracefs-clock-counter-phases.trace", F, "ticks"),
    Case("perf-plugin-zap-page.txt", F, "has no GFN"),
    Case("perf-same-sample-twice.txt", F),
    Case("mail-wrapped.trace", F, "folded", losses=1),
    Case("elided.trace", F, losses=1),
    Case("fault-only.trace", N, "or this kernel is older"),
    Case("spurious.trace", N, "no kvm_tdp_mmu_spte_changed"),
    Case("spurious-impossible.trace", D, "does not allow the access"),
    Case("nested-cr0.trace", F),
    Case("nul-small.trace", N, "none of its 1 lines", unreadable=1),
    Case("defect-level.trace", N, "none of its 1 lines", unreadable=1),
    Case("wrapped-numbers.trace", N, "none of its 1 lines", unreadable=1),
    Case("hang-3-lines.trace", N, "no kvm_tdp_mmu_spte_changed"),
    Case("escape.trace", D),
    Case("inf-time.trace", D),
]


def test_every_file_has_its_outcome_here():
    assert {case.file for case in CASES} == {file.name for file in HERE.iterdir()} - {"trace-cut.dat"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_a_trace_has_its_outcome(case):
    result = replay(str(HERE / case.file))
    assert result.verdict is case.verdict, (result.reason, result.groups)
    assert (result.reading.losses, result.reading.unreadable) == (case.losses, case.unreadable)
    said = [result.reason, *result.notes, *(group.first.guard for group in result.groups)]
    assert any(case.says in one for one in said), said
    assert all(one.isprintable() for one in said)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_going_on_behind_divergences_ends(case):
    result = replay(str(HERE / case.file), keep_going=True, midlife=True, kernel="7.3")
    assert result.reading.lines == len((HERE / case.file).read_bytes().split(b"\n")) - 1


PAGE = (
    (Path(__file__).parents[2] / "docs" / "replay.md").read_text().partition("### What the tools print")[2].partition("\n## ")[0]
)
HOLDS = {name for row in PAGE.splitlines() if row.startswith("| ") for name in re.findall(r"`([\w-]+)`", row.split(" | ")[-1])}


def test_what_the_page_says_of_the_tools_is_held_by_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    there = {file.stem for file in HERE.iterdir()} | set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))
    assert len(HOLDS) > 40
    assert {name for name in HOLDS if name not in there and f"forms.{name}" not in tests} == set()


def run(name: str, *options: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    done = CliRunner().invoke(command, [str(HERE / name), *options])
    return done.exit_code, done.output


def of(name: str) -> Result:
    return replay(str(HERE / name))


def test_stack_lines_are_counted_by_kind():
    assert of("perf-g-stacks.txt").reading.stacks == 33
    assert of("tracefs-stacktrace.trace").reading.stacks == 33
    assert of("nested-cr0.trace").reading.other_text == 1


def test_children_of_a_split_without_x_may_be_executed():
    result = of("nx-huge-split-by-exec-fault.trace")
    assert result.steps["split a huge page"] == 1
    assert result.leaves == (517, 7, 0)


def test_the_number_of_lost_events_is_read():
    assert of("tracecmd-dropped-told-late.txt").reading.lost == 280
    assert of("perf-lost-told-late.txt").reading.lost == 125


def test_the_second_of_two_equal_samples_is_dropped():
    assert of("perf-same-sample-twice.txt").reading.twice == 1


@pytest.mark.parametrize(("name", "kernel"), [("teardown-only-7.3.trace", "7.2 or newer"), ("elided.trace", "5.15 to 6.9")])
def test_the_kernel_is_told_by_little(name, kernel):
    assert of(name).kernel == kernel


def test_nothing_is_claimed_that_was_not_seen():
    result = of("fault-only.trace")
    assert (result.kernel_from, result.format_from) == ("assumed: nothing in the trace tells", "by kvm_exit")
    assert "5.10 does not have it" not in result.reason


def test_what_was_taken_on_trust_is_said_and_strict_makes_it_a_failure():
    status, text = run("elided.trace")
    assert (status, "6 of 6 changes were taken on trust" in " ".join(text.split())) == (0, True)
    assert run("elided.trace", "--strict")[0] == 3
    assert run("eager-split-by-vcpu-thread.trace", "--strict")[0] == 0


def test_spurious_faults_are_counted_by_gfn():
    assert of("spurious.trace").spurious.gfns == ((0x1111, 2),)
    assert "gfn 1111 2" in run("spurious.trace")[1]


def test_a_guest_that_makes_no_progress_is_shown_as_one(tmp_path):
    lines = (HERE / "spurious.trace").read_text().splitlines()[:4]
    (tmp_path / "trace").write_text("\n".join(lines * 1500) + "\n")
    done = CliRunner().invoke(command, [str(tmp_path / "trace")])
    assert "7001 took 1,500 of them in a row on gfn 1111: its guest makes no progress" in " ".join(done.output.split())


@pytest.mark.parametrize("name", ["escape.trace", "inf-time.trace"])
def test_what_a_terminal_would_obey_is_escaped(name):
    for options in ((), ("--json",), ("--keep-going",)):
        assert not set(run(name, *options)[1]) & {"\x1b", "\x07", "\x9b"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_json_is_json(case):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(run(case.file, "--json")[1], parse_constant=refuse)


def test_ticks_are_not_called_seconds():
    result = of("tracefs-clock-counter-phases.trace")
    assert (result.clock, result.begins, result.ends) == ("ticks", 1302, 1888)
    assert [time for time, _ in result.phases] == [1302, 1888]
    assert "586 ticks" in run("tracefs-clock-counter-phases.trace")[1]


@pytest.mark.skipif(not shutil.which("trace-cmd"), reason="trace-cmd, which says nothing of a cut file, is not installed")
def test_a_binary_trace_that_was_cut_is_said_to_be():
    status, text = run("trace-cut.dat")
    assert (status, "printed nothing: is the file whole?" in " ".join(text.split())) == (3, True)
