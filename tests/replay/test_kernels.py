"""Which kernel and which page-table format a trace is of: told by --kernel, by the format files, or by its values; and said."""

from __future__ import annotations

import re

import pytest

from septum.lang.errors import UserError
from septum.replay.kernels import era_of
from septum.replay.result import Verdict
from tests.replay import forms
from tests.replay.samples import SAMPLES, SMALL, lines_of, replayed, text_of

VE, NO_AD, NO_AD_7_2 = 1 << 63, 1 << 52, 1 << 60
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


@pytest.mark.parametrize("kernel", ["", "7.3.4"])
@pytest.mark.parametrize(
    ("always", "ad", "modern", "name"),
    [
        (VE, True, True, "EPT of 7.2 or newer"),
        (VE | NO_AD_7_2, False, True, "EPT of 7.2 or newer, without A/D bits"),
        (VE, True, False, "EPT with suppress-#VE"),
    ],
)
def test_a_trace_of_7_3_is_followed_whole_with_the_bits_of_ept(always, ad, modern, name, kernel, tmp_path):
    text = text_of("7.3-dirty-eager")
    result = replayed(tmp_path, forms.ept(text, always, ad=ad, modern=modern), kernel=kernel)
    assert result, result.groups
    assert (result.kernel, result.format, result.leaves) == ("7.2 or newer", name, (0, 0, 0))
    assert result.checked.learned == 0
    wrong = forms.ept(text, always, ad=ad, modern=not modern)
    assert replayed(tmp_path, wrong, kernel=kernel).format != name


def test_the_bits_of_ept_tell_a_kernel_from_7_2_on(tmp_path):
    result = replayed(tmp_path, trace(*first_fault(VE | 0xD07, 0x80A0000000000F37)))
    assert result, result.groups
    assert (result.kernel, result.kernel_from) == ("7.2 or newer", "by the bits of SPTEs")


def test_from_7_2_on_an_aged_page_keeps_its_rights_elsewhere(tmp_path):
    table, leaf = VE | NO_AD_7_2 | 0xC07, VE | NO_AD_7_2 | 5 << 53 | 0xC37
    old = 0x123456000 | leaf
    aged = old & ~0x407 | 1 << 52 | 1 << 54 | 1 << 62
    again = f"fast_page_fault: vcpu 0 gva 10000 error_code P|W old {aged:#x} new {old:x} spurious 0 fixed 1"
    events = [*first_fault(table, leaf), changed(0x10, 1, old, aged), again, changed(0x10, 1, old, NONE)]
    result = replayed(tmp_path, trace(*events))
    assert result, result.groups
    assert result.steps["clear accessed"] == result.steps["fix a fault without the lock"] == 1


@pytest.mark.parametrize(("form", "huge", "small"), [
    ("NPT", VE | 0xEE7, 0xE67), ("EPT of 7.2 or newer", 0x80A0000000000BB3, 0x80A0000000000F37),
])  # fmt: skip
@pytest.mark.parametrize("kept", [False, True])
def test_pages_of_a_split_huge_page_without_x_may_be_executed(form, huge, small, kept, tmp_path):
    table = NPT_TABLE if form == "NPT" else VE | 0xD07
    linked = first_fault(table, small)
    map_ = [*fault(0x200, 0x400000, 2), changed(0x200, 2, NONE, 0x400000000 | huge),
            f"kvm_mmu_set_spte: gfn 200 spte {0x400000000 | huge:x} (rw-u) level 2 at 2000008"]  # fmt: skip
    split = [*fault(0x200, 0x400000, 1), page(1, 0x200), changed(0x200, 2, 0x400000000 | huge, 0x5000000 | table),
             f"kvm_mmu_split_huge_page: gfn 200 spte {0x400000000 | huge:x} level 2 errno 0",
             f"kvm_mmu_set_spte: gfn 200 spte {0x400000000 | small:x} (rwxu) level 1 at 5000000"]  # fmt: skip
    child = (small ^ VE if form == "NPT" else small & ~0x404) if kept else small
    result = replayed(tmp_path, trace(*linked, *map_, *split, changed(0x2FF, 1, 0x4000FF000 | child, NONE)))
    assert result.verdict is (Verdict.DIVERGED if kept else Verdict.FOLLOWED), result.groups


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


def test_a_huge_page_is_recovered_from_the_pages_below(tmp_path):
    lines = lines_of("7.3-dirty-eager")
    recovered = re.compile(r"(.* level 2 old_spte \w+827 new_spte )(\w+)$")
    where = next(n for n, text in enumerate(lines) if (found := recovered.match(text)) and int(found[2], 16) & 0x880 == 0x880)
    found = recovered.match(lines[where])
    lines[where] = f"{found[1]}{int(found[2], 16) ^ 1 << 30:x}"
    group = replayed(tmp_path, "\n".join(lines) + "\n").groups[0]
    assert (group.first.at.number - 1, group.first.guard) == (where, "a present page changes its PFN")


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


def line(number: int, event: str) -> str:
    return f"            vcpu-77    [001] .....    10.{number:06}: {event}"


def trace(*events: str) -> str:
    return "\n".join(line(number, event) for number, event in enumerate(events)) + "\n"


def changed(gfn: int, level: int, old: int, new: int) -> str:
    return f"kvm_tdp_mmu_spte_changed: as id 0 gfn {gfn:x} level {level} old_spte {old:x} new_spte {new:x}"


def page(level: int, gfn: int = 0) -> str:
    return f"kvm_mmu_get_page: sp gen 0 gfn {gfn:x} l{level} 8-byte q0 direct wux nxe ad root 0 sync new"


def fault(gfn: int, pfn: int, level: int) -> tuple[str, str]:
    begin = f"kvm_page_fault: vcpu 0 rip 0x0 address {gfn << 12:#018x} error_code 0x6"
    return begin, f"kvm_mmu_spte_requested: gfn {gfn:x} pfn {pfn:x} level {level}"


NONE = 1 << 63
NPT_TABLE, NPT_LEAF = 0x827, 0xE67


def first_fault(table: int = NPT_TABLE, leaf: int = NPT_LEAF, none: int = NONE, last: int = 0x3000000) -> list[str]:
    """A root, and the page 10 mapped by 123456, at 4K."""
    return [
        page(4), *fault(0x10, 0x123456, 1),
        page(3), changed(0, 4, none, 0x1000000 | table), page(2), changed(0, 3, none, 0x2000000 | table),
        page(1), changed(0, 2, none, last | table), changed(0x10, 1, none, 0x123456000 | leaf),
        f"kvm_mmu_set_spte: gfn 10 spte {0x123456000 | leaf:x} level 1 at {last + 0x80:x}",
    ]  # fmt: skip


def test_without_ad_bits_an_aged_page_keeps_its_rights_aside(tmp_path):
    table, leaf = NO_AD | 0x807, NO_AD | 3 << 57 | 0x837
    old = 0x123456000 | leaf
    aged = old & ~7 | (old & 5) << 54
    again = f"fast_page_fault: vcpu 0 gva 10000 error_code P|W old {aged:#x} new {old:x} spurious 0 fixed 1"
    events = [*first_fault(table, leaf), changed(0x10, 1, old, aged), again, changed(0x10, 1, old, NONE)]
    result = replayed(tmp_path, trace(*events))
    assert result, result.groups
    assert result.format == "EPT without A/D bits"
    assert result.steps["clear accessed"] == result.steps["fix a fault without the lock"] == 1


def test_with_nx_huge_pages_a_fault_maps_less_than_it_asked_for(tmp_path):
    events = [*first_fault(), *fault(0x11, 0x123400, 2), changed(0x11, 1, NONE, 0x123411000 | NPT_LEAF)]
    result = replayed(tmp_path, trace(*events, "kvm_mmu_set_spte: gfn 11 spte 123411e67 level 1 at 3000088"))
    assert result, result.groups
    assert result.rules["nx-huge-page"] == 1
    wrong = [*events[:-1], changed(0x11, 1, NONE, 0x123412000 | NPT_LEAF)]
    assert replayed(tmp_path, trace(*wrong)).verdict is Verdict.DIVERGED


def test_a_bit_of_memory_encryption_is_no_part_of_the_page(tmp_path):
    bit = 1 << 47
    result = replayed(tmp_path, trace(*first_fault(NPT_TABLE | bit, NPT_LEAF | bit)))
    assert result, result.groups
    assert "bit 47" in result.notes[0]
    without = changed(0x10, 1, 0x123456000 | NPT_LEAF | bit, 0x123456000 | NPT_LEAF & ~2)
    text = trace(*first_fault(NPT_TABLE | bit, NPT_LEAF | bit), without)
    assert replayed(tmp_path, text).verdict is Verdict.DIVERGED


def test_up_to_6_9_a_notifier_maps_another_page_read_only(tmp_path):
    page_ = 0x123456000 | NPT_LEAF
    swap = [changed(0x10, 1, page_, 0), changed(0x10, 1, 0, 0x777000 | NPT_LEAF & ~(1 << 9 | 1 << 10 | 2))]
    text = trace(*first_fault(none=0), "kvm_entry: vcpu 0, rip 0x0", *swap)
    assert replayed(tmp_path, text, kernel="6.8")
    newer = trace(*first_fault(), "kvm_entry: vcpu 0, rip 0x0", *(one.replace("spte 0", f"spte {NONE:x}") for one in swap))
    assert replayed(tmp_path, newer, kernel="6.12").verdict is Verdict.DIVERGED


def test_mmio_carries_its_gfn_and_goes_when_a_slot_comes(tmp_path):
    mmio = 1 << 51 | 0xFE000 << 12 | 7 | 5 << 3
    linked = first_fault()[:-2]
    events = [*linked, *fault(0x20, 0x123456, 1), changed(0x20, 1, NONE, 1 << 51 | 0x20 << 12 | 7 | 5 << 3)]
    result = replayed(tmp_path, trace(*events))
    assert result, result.groups
    assert result.steps["map MMIO"] == 1
    assert replayed(tmp_path, trace(*linked, changed(0x20, 1, NONE, mmio))).verdict is Verdict.DIVERGED


def test_after_zap_all_fast_faults_are_for_the_new_root(tmp_path):
    zap = ["kvm_mmu_zap_all_fast: kvm-mmu-valid-gen 1 used_pages 4", "kvm_entry: vcpu 0, rip 0x0"]
    old_goes = changed(0x10, 1, 0x123456000 | NPT_LEAF, NONE)
    text = trace(*first_fault(), *zap, *first_fault(last=0x6000000), old_goes)
    result = replayed(tmp_path, text)
    assert result, result.groups
    assert result.roots == 2
    assert result.leaves == (1, 0, 0)


@pytest.mark.parametrize(
    ("old", "new", "how"),
    [("kvm_entry: vcpu 0, rip 0x8000", "kvm_entry: vcpu 0, rip 0x8000 intr_info 0x00000000 error_code 0x00000000", "kvm_entry"),
     ("[000] d..1.", "[000] dB.1.", "flags")],
)  # fmt: skip
def test_a_kernel_from_6_13_is_told_by_what_it_prints_more(old, new, how, tmp_path):
    text = text_of(SMALL)
    assert old in text
    result = replayed(tmp_path, text.replace(old, new))
    assert (result.kernel, bool(result)) == ("6.13 to 7.1", True)
    assert how in result.kernel_from
