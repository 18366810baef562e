"""A patch as the functions that it touches, and the calls that it adds or takes away in each."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.lang.errors import UserError
from septum.sources.patch import Kind, Touched, kind_of, read

PATCH = (Path(__file__).parent / "patches" / "series.patch").read_text()


def told(one: Touched) -> list[str]:
    return [f"{line.sign}{line.call}" for line in one.calls]


def test_a_series_is_the_functions_that_it_touches_with_their_calls_in_order():
    found = {one.name: one for one in read(PATCH).functions}
    assert list(found) == ["tdx_sept_remove_leaf_spte", "tdx_unpin", "tdx_release", "TRY"]
    assert told(found["tdx_sept_remove_leaf_spte"]) == [
        " tdh_mem_page_remove(kvm)",
        " spte_to_pfn(old)",
        "+tdx_pamt_put(pfn_to_page)",
        "+pfn_to_page(pfn)",
        "+spin_lock(lock)",
        " tdx_track(kvm)",
        "+spin_unlock(lock)",
    ]
    assert told(found["TRY"]) == ["-take(x)", "+mutex_lock(x)", "+take(x)"]


def test_lines_are_counted_for_the_function_that_they_belong_to():
    found = {one.name: (one.added, one.removed) for one in read(PATCH).functions}
    assert found == {"tdx_sept_remove_leaf_spte": (4, 0), "tdx_unpin": (0, 1), "tdx_release": (2, 1), "TRY": (1, 1)}


def test_what_it_changes_of_locks_pages_and_references_is_told_apart():
    remove = read(PATCH).functions[0]
    assert [(remove.calls[number].kind, remove.calls[number].call.name) for number in remove.changes] == [
        (Kind.REFERENCE, "tdx_pamt_put"),
        (Kind.LOCK, "spin_lock"),
        (Kind.LOCK, "spin_unlock"),
    ]


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("mutex_lock spin_unlock_irqrestore write_trylock down_read filemap_invalidate_lock_shared srcu_read_lock", Kind.LOCK),
        ("kzalloc kmem_cache_zalloc alloc_page __get_free_page get_zeroed_page kvm_mmu_memory_cache_alloc", Kind.ALLOCATION),
        ("kvm_mmu_topup_memory_cache tdx_alloc_control_page kvcalloc kzalloc_obj", Kind.ALLOCATION),
        ("kfree kvfree free_page __free_pages tdx_free_control_page kmem_cache_free kvm_mmu_free_memory_cache", Kind.FREE),
        ("tdx_pamt_get tdx_pamt_put get_page folio_put refcount_dec_and_test atomic_inc kvm_tdp_mmu_put_root", Kind.REFERENCE),
        ("call_rcu synchronize_srcu rcu_barrier kfree_rcu", Kind.GRACE_PERIOD),
        ("tdh_mem_page_aug tdh_do_no_vcpus seamcall_ret", Kind.SEAMCALL),
        ("unlocked_walk allocation_size is_free freeze tdx_track getter blocked topper", None),
    ],
)  # fmt: skip
def test_the_kind_of_a_call_follows_from_its_name(names, kind):
    assert {name: kind_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ("", "holds no hunk of a unified diff"),
        ("1c1\n< a\n---\n> b\n", "holds no hunk of a unified diff"),
        ("+++ b/a.c\n@@ -1,2 +1,2 @@\n a\n*b\n", r"line 4 of the patch: in a hunk lines begin with a blank, \+ or -: '\*b'"),
    ],
)  # fmt: skip
def test_what_is_no_patch_is_refused(patch, message):
    with pytest.raises(UserError, match=message):
        read(patch)


def test_a_mail_that_is_encoded_for_transport_is_read_as_what_it_says():
    head = "From 0 Mon Sep 17 00:00:00 2001\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n"
    first, second, third = PATCH.split("From 0")
    body = second.partition("\n\n")[2].replace("=", "=3D").replace("\t", "=09")
    found = read(f"{head}{body}From 0{third}").functions
    assert [(one.name, told(one)) for one in found] == [(one.name, told(one)) for one in read(PATCH).functions]
    assert not first


def test_a_comment_that_a_hunk_cuts_off_is_no_call():
    hunk = "@@ -1,5 +1,5 @@ static void f(void)\n  * ends() here\n  */\n-\tfirst();\n+\tsecond();\n \t/*\n \t * begins() here\n"
    (one,) = read(f"--- a/f.c\n+++ b/f.c\n{hunk}").functions
    assert told(one) == ["-first()", "+second()"]
