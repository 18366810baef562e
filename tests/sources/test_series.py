"""A series is read from whatever it is handed on in: files, directories, mailboxes, diffs of renamed and of new files."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.lang.errors import UserError
from septum.sources.patch import read
from septum.sources.series import hunks, text_of

PATCHES = Path(__file__).parent / "patches"
HUNK = "@@ -1 +1,2 @@ void f(void)\n \tg();\n+\th();\n"


def places(text: str) -> list[str]:
    return [hunk.place for hunk in hunks(text)]


def test_a_directory_is_its_patches_in_order():
    """Its cover letter has no hunk; of what its first patch adds its second takes back the locks."""
    patch = read(text_of(str(PATCHES / "stages")))
    assert {one.name: [f"{line.sign}{line.call}" for line in one.calls if line.kind] for one in patch.functions} == {
        "tdx_sept_link_private_spt": [
            " tdh_mem_sept_add(kvm)",
            "+tdx_pamt_get(table)",
            " tdh_mem_sept_add(kvm)",
            "+tdx_pamt_put(table)",
        ],
        "tdx_stub": [],
    }


def test_a_mailbox_is_its_mails_decoded_and_text_outside_of_a_diff_is_no_patch():
    patch = read(text_of(str(PATCHES / "mailbox.mbox")))
    assert [(one.name, one.file, one.added) for one in patch.functions] == [
        ("tdx_sept_free_private_spt", "arch/x86/kvm/vmx/tdx.c", 1)
    ]


def test_a_renamed_file_and_a_new_one_are_those_of_the_new_name():
    patch = read(text_of(str(PATCHES / "moved.diff")))
    assert [(one.name, one.file) for one in patch.functions] == [
        ("tdx_mem_page_aug", "arch/x86/kvm/vmx/tdx_mmu.c"),
        ("pages_get", "arch/x86/kvm/vmx/pages.c"),
    ]
    assert patch.nameless == ["arch/x86/kvm/vmx/tdx_mmu.c:201"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a/virt/kvm/f.c", "virt/kvm/f.c"),
        ("linux-7.2/arch/x86/kvm/f.c\t2026-11-30 12:00:00 +0000", "arch/x86/kvm/f.c"),
        ("arch/x86/kvm/f.c", "arch/x86/kvm/f.c"),
        ("b/mm/f.c", "mm/f.c"),
    ],
)
def test_a_file_is_named_from_its_place_in_the_kernel_on(name, file):
    assert places(f"--- {name}\n+++ {name}\n{HUNK}") == [f"{file}:1"]


def test_line_ends_of_mails_and_form_feeds_in_a_line_do_not_matter():
    text = f"--- a/f.c\n+++ b/f.c\n{HUNK}".replace("g();", "g();\f")
    assert places(text.replace("\n", "\r\n")) == places(text) == ["f.c:1"]


def test_what_is_not_there_is_bad_input(tmp_path):
    with pytest.raises(UserError, match=r"none\.patch: No such file or directory"):
        text_of(str(tmp_path / "none.patch"))
    with pytest.raises(UserError, match="holds no hunk"):
        hunks(text_of(str(tmp_path)))
