"""Which kernel and which page-table format a trace is of: told by --kernel, by the format files, or by its values; and said."""

from __future__ import annotations

import pytest

from septum.lang.errors import UserError
from septum.replay.kernels import era_of
from septum.replay.result import Verdict
from tests.replay import forms
from tests.replay.samples import SAMPLES, SMALL, replayed, text_of

VE, NO_AD = 1 << 63, 1 << 52
TEXT = text_of("6.12-dirty-1g")


@pytest.mark.parametrize(
    ("always", "ad", "name"),
    [
        (0, True, "EPT"),
        (VE, True, "EPT with suppress-#VE"),
        (NO_AD, False, "EPT without A/D bits"),
        (VE | NO_AD, False, "EPT with suppress-#VE, without A/D bits"),
    ],
)
def test_ept_is_told_by_its_values(always, ad, name, tmp_path):
    result = replayed(tmp_path, forms.ept(TEXT, always, ad=ad))
    assert result, result.groups
    assert result.format == name
    assert result.format_from == "by the values of SPTEs"


def test_a_root_may_have_five_levels(tmp_path):
    result = replayed(tmp_path, forms.five_levels(text_of(SMALL)))
    assert result, result.groups


@pytest.mark.parametrize(
    ("kernel", "name"),
    [("5.15", "5.15 to 6.1"), ("6.1.192", "5.15 to 6.1"), ("v6.8-rc3", "6.2 to 6.9"), ("6.12.117+deb12-amd64", "6.10 to 6.12"),
     ("6.18", "6.13 to 7.1"), ("7.3.4", "7.2 or newer"), ("9.0", "7.2 or newer")],
)  # fmt: skip
def test_a_version_says_which_kernels_it_is_one_of(kernel, name):
    assert era_of(kernel).name == name


@pytest.mark.parametrize("kernel", ["5.10", "4.19.3", "new", ""])
def test_a_version_that_cannot_be_followed_is_refused(kernel):
    with pytest.raises(UserError, match="--kernel"):
        era_of(kernel)


def test_the_kernel_that_is_named_is_believed(tmp_path):
    assert replayed(tmp_path, text_of(SMALL), kernel="6.12.117").kernel_from == "as --kernel says"
    wrong = replayed(tmp_path, text_of("7.3-dirty-eager"), kernel="6.12")
    assert wrong.verdict is Verdict.DIVERGED


def test_logging_off_in_one_event_is_not_what_6_12_does(tmp_path):
    """From 6.13 on a table becomes a huge leaf in one event, outside of a fault."""
    removal = forms.recovered(TEXT)
    assert replayed(tmp_path, removal, kernel="6.18")
    assert replayed(tmp_path, removal, kernel="6.12").verdict is Verdict.DIVERGED


def test_format_files_tell_the_kernel(tmp_path):
    formats = tmp_path / "formats"
    formats.write_text("name: kvm_tdp_mmu_spte_changed\nname: kvm_mmu_spte_requested\n\tfield:u8 access;\nname: kvm_entry\n")
    result = replayed(tmp_path, text_of("7.3-dirty-eager"), formats=str(formats))
    assert (result.kernel, result.kernel_from) == ("7.2 or newer", "by the format files")


@pytest.mark.parametrize("text", ["name: kvm_exit\n", "nothing of the kind"])
def test_format_files_without_the_event_are_refused(text, tmp_path):
    formats = tmp_path / "formats"
    formats.write_text(text)
    with pytest.raises(UserError, match="format"):
        replayed(tmp_path, text_of(SMALL), formats=str(formats))


def without(text: str, *names: str) -> str:
    return "\n".join(line for line in text.splitlines() if not any(f": {name}:" in line for name in names)) + "\n"


def test_a_trace_without_changes_is_no_pass(tmp_path):
    result = replayed(tmp_path, without(text_of(SMALL), "kvm_tdp_mmu_spte_changed"))
    assert result.verdict is Verdict.NOTHING
    assert "kvm_tdp_mmu_spte_changed" in result.reason
    assert "tdp_mmu=N" in result.reason


def test_a_trace_of_5_10_gets_a_clear_answer(tmp_path):
    line = "            qemu-77    [001] ....    10.000001: kvm_page_fault: address 1000 error_code 6\n"
    result = replayed(tmp_path, line)
    assert result.verdict is Verdict.NOTHING
    assert "5.10" in result.reason


def test_a_trace_of_shadow_paging_gets_a_clear_answer(tmp_path):
    page = "kvm_mmu_get_page: sp gen 0 gfn 4000 l1 8-byte q0 wux nxe ad root 0 sync"
    result = replayed(tmp_path, f"            qemu-77    [001] .....    10.000001: {page}\n")
    assert result.verdict is Verdict.NOTHING
    assert "tdp_mmu=N" in result.reason


@pytest.mark.parametrize("text", ["", "# tracer: nop\n", "hello\nworld\n"])
def test_what_is_no_trace_is_no_pass(text, tmp_path):
    assert replayed(tmp_path, text).verdict is Verdict.NOTHING


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(
    "left_out",
    [
        ("kvm_mmu_set_spte",),
        ("kvm_mmu_get_page", "kvm_mmu_prepare_zap_page"),
        ("kvm_mmu_spte_requested", "kvm_mmu_set_spte"),
    ],
)
def test_with_fewer_events_fewer_rules_are_checked_and_that_is_said(name, left_out, tmp_path):
    result = replayed(tmp_path, without(text_of(name), *left_out))
    assert result, result.groups
    assert any(name in note for name in left_out for note in result.notes)
