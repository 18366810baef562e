"""Whatever printed a trace, and however it is packed, it says the same."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import subprocess
import sys

import pytest

from septum.lang.errors import UserError
from septum.replay.replay import replay
from septum.replay.result import Result, Verdict
from tests.replay import forms
from tests.replay.samples import SMALL, file_of, replayed, text_of

TEXT = text_of(SMALL)


def steps(result: Result) -> dict[str, int]:
    """The steps of the page tables; markers and the like are not in every form."""
    assert result.verdict is Verdict.FOLLOWED, result.groups
    return {name: count for name, count in result.steps.items() if name != "other events"}


@pytest.fixture(scope="module")
def expected() -> dict[str, int]:
    return steps(replay(str(file_of(SMALL))))


@pytest.mark.parametrize(
    "form",
    [forms.trace_pipe, forms.with_tgid, forms.trace_cmd, forms.trace_cmd_without_plugins, forms.perf_script,
     forms.perf_script_of_tids, forms.perf_script_with_mode, forms.perf_script_of_periods,
     forms.trace_cmd_with_stacks, forms.of_buffer, forms.without_flags, forms.preempt_rt],
)  # fmt: skip
def test_a_trace_in_another_form_has_the_same_steps(form, expected, tmp_path):
    assert steps(replayed(tmp_path, form(TEXT))) == expected


@pytest.mark.parametrize("form", [forms.perf_script_of_addresses, forms.perf_script_without_fields])
def test_fields_that_perf_was_not_asked_for_are_why_nothing_is_followed(form, tmp_path):
    result = replayed(tmp_path, form(TEXT))
    assert (result.verdict, result.groups) == (Verdict.NOTHING, ())
    assert "left fields out of its lines, or added others" in result.reason


def test_the_verbose_form_is_refused_with_the_option_to_reset(tmp_path):
    result = replayed(tmp_path, forms.verbose(TEXT))
    assert (result.verdict, "options/verbose" in result.reason) == (Verdict.NOTHING, True)


def test_differences_of_times_leave_the_order_of_each_cpu(tmp_path):
    result = replayed(tmp_path, forms.perf_script_of_differences(forms.merged(TEXT, forms.another_vm(TEXT))))
    assert result.verdict is Verdict.FOLLOWED
    assert result.reading.backwards > 1000


def test_what_a_plugin_leaves_out_is_no_loss(expected, tmp_path):
    result = replayed(tmp_path, forms.trace_cmd_with_plugins(TEXT))
    assert steps(result) == {name: count for name, count in expected.items() if name != "announce the removal of a table"}
    assert (result.reading.unreadable, result.reading.losses) == (0, 0)
    assert len(result.notes) == 1
    assert "the text of kvm_mmu_prepare_zap_page has no GFN (13 lines)" in result.notes[0]


@pytest.mark.parametrize("fields", ["gfn=4000", "role=6017", "gfn=16384 role=6016", "gfn=16384 role=6022"])
def test_a_page_without_its_gfn_or_level_is_unreadable(fields, tmp_path):
    line = f"[FAILED TO PARSE] mmu_valid_gen=0 {fields} root_count=0"
    text = TEXT.replace("sp gen 0 gfn 4000 l1 8-byte q0 direct wux nxe ad root 0 sync new", line, 1)
    assert replayed(tmp_path, text).reading.unreadable == 1


def test_lines_may_end_as_windows_ends_them(expected, tmp_path):
    assert steps(replayed(tmp_path, TEXT.replace("\n", "\r\n"))) == expected


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_a_packed_trace_is_unpacked(suffix, pack, expected, tmp_path):
    file = tmp_path / f"trace.{suffix}"
    file.write_bytes(pack(TEXT.encode()))
    assert steps(replay(str(file))) == expected


def test_zstd_is_unpacked_by_its_command(expected, tmp_path, monkeypatch):
    file = tmp_path / "trace.zst"
    if shutil.which("zstd"):
        file.write_bytes(subprocess.run(["zstd", "-qc"], input=TEXT.encode(), capture_output=True, check=True).stdout)
    else:
        file.write_bytes(b"\x28\xb5\x2f\xfd" + TEXT.encode())
        command(tmp_path, monkeypatch, "zstd", "sys.stdin.buffer.read(4); sys.stdout.buffer.write(sys.stdin.buffer.read())")
    assert steps(replay(str(file))) == expected


def test_without_the_command_the_message_says_what_to_do(tmp_path, monkeypatch):
    file = tmp_path / "trace.zst"
    file.write_bytes(b"\x28\xb5\x2f\xfd")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"zstd -dc FILE \| septum replay -"):
        replay(str(file))


@pytest.mark.parametrize(("magic", "tool"), [(b"\x17\x08\x44tracing", "trace-cmd"), (b"PERFILE2", "perf")])
def test_a_binary_trace_goes_through_its_tool(magic, tool, expected, tmp_path, monkeypatch):
    file = tmp_path / "trace.dat"
    file.write_bytes(magic)
    (tmp_path / "text").write_text(forms.trace_cmd(TEXT))
    command(tmp_path, monkeypatch, tool, f"sys.stdout.write(open({str(tmp_path / 'text')!r}).read())")
    assert steps(replay(str(file))) == expected


@pytest.mark.parametrize(("magic", "tool"), [(b"\x17\x08\x44tracing", "trace-cmd report -N"), (b"PERFILE2", "perf script .*")])
def test_a_binary_trace_without_its_tool_says_what_to_do(magic, tool, tmp_path, monkeypatch):
    file = tmp_path / "trace.dat"
    file.write_bytes(magic)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=f"{tool} -i FILE"):
        replay(str(file))


def test_a_tool_that_fails_is_said_beside_what_it_printed(tmp_path, monkeypatch):
    file = tmp_path / "trace.dat"
    file.write_bytes(b"\x17\x08\x44tracing")
    command(tmp_path, monkeypatch, "trace-cmd", "sys.exit('no such section')")
    assert "no such section" in replay(str(file)).reading.truncated


def test_a_packed_trace_that_ends_early_is_followed_as_far_as_it_goes(tmp_path):
    file = tmp_path / "trace.gz"
    packed = gzip.compress(TEXT.encode())
    file.write_bytes(packed[: len(packed) * 2 // 3])
    result = replay(str(file))
    assert result.verdict is Verdict.FOLLOWED
    assert 0 < result.followed < 2893
    assert "is cut or damaged" in result.reading.truncated


def test_standard_input_is_read_as_it_comes(expected, monkeypatch):
    reader, writer = os.pipe()
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdout.write(open(sys.argv[1]).read())", "/dev/stdin"],
                             stdin=subprocess.PIPE, stdout=writer)  # fmt: skip
    os.close(writer)
    assert child.stdin
    child.stdin.write(TEXT.encode())
    child.stdin.close()
    with os.fdopen(reader, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        assert steps(replay("-")) == expected
    child.wait()


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_a_mistake_of_the_user(name, tmp_path):
    with pytest.raises(UserError, match=r"no such file|is a directory"):
        replay(str(tmp_path / name))


def command(directory, monkeypatch, name, body) -> None:
    """A command of this name, and no other, is on the PATH."""
    file = directory / name
    file.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))
