"""A patch as the functions that it touches, and the calls that it adds or takes away in each."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.lang.errors import UserError
from septum.sources.patch import Kind, Patch, Touched, kind_of, read

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


def one_hunk(heading: str, *lines: str, file: str = "arch/x86/kvm/f.c") -> Patch:
    old, new = (sum(line[0] in f" {sign}" for line in lines) for sign in "-+")
    body = "\n".join(lines)
    return read(f"--- a/{file}\n+++ b/{file}\n@@ -1,{old} +1,{new} @@ {heading}\n{body}\n")


@pytest.mark.parametrize(
    ("heading", "lines"),
    [
        ("int f(struct kvm *kvm);", ["+int g(struct kvm *kvm,", "+      gfn_t gfn);"]),
        ("void f(void)", [" }", "+static int (*const table[])(int) = {", "+\tf,", "+};"]),
        ("void f(void)", [" }", "+OP_OPTIONAL(get_page)", "+EXPORT_SYMBOL_GPL(f);"]),
        ("static inline void f(void) { }", [" void f(void) { }", "+struct s {", "+\tint (*g)(int);", "+};"]),
        ("struct ops {", ["+\tint (*get_page)(int);", " \tint a;"]),
        ("void f(void)", [" }", " ", "+/* get_page() is", "+ * called later */"]),
    ],
)  # fmt: skip
def test_declarations_and_tables_are_no_functions(heading, lines):
    found = one_hunk(heading, *lines)
    assert (found.functions, found.nameless) == ([], [])


def test_a_head_over_several_lines_with_a_body_is_a_function():
    (one,) = one_hunk("", "+static int", "+f(struct kvm *kvm,", "+  gfn_t gfn)", "+{", "+\tget_page(kvm);", "+}").functions
    assert (one.name, told(one)) == ("f", ["+get_page(kvm)"])


@pytest.mark.parametrize("heading", ["out_unlock:", "static int a_function_whose_name_is_cut_o"])
def test_a_hunk_in_a_function_that_the_patch_does_not_name_is_listed(heading):
    found = one_hunk(heading, " \tkfree(x);", "+\tput_page(x);", " }", " ", " void f(void)", " {", "+\tg();")
    assert [(one.name, told(one)) for one in found.functions] == [("f", ["+g()"])]
    assert found.nameless == ["arch/x86/kvm/f.c:1"]
    assert one_hunk(heading, " \tkfree(x);", " }", "+", "+#define X 1").nameless == []


def test_a_hunk_inside_of_a_comment_calls_nothing():
    assert told(*one_hunk("void f(void)", " \t * begun above:", "+\t * put_page() comes", "+\t * later").functions) == []


def test_guards_and_operations_are_calls_of_what_they_find():
    lines = (
        "+\tguard(mutex)(&kvm->lock);",
        "+\tscoped_guard(spinlock, &a->b_lock)",
        "+\t\tr = kvm_x86_call(topup_cache)(vcpu, 1);",
    )
    (one,) = one_hunk("void f(void)", *lines).functions
    assert [(line.kind, str(line.call), line.called) for line in one.calls] == [
        (Kind.LOCK, "guard(mutex)(lock)", "guard(mutex)"),
        (Kind.LOCK, "scoped_guard(b_lock)", "scoped_guard"),
        (Kind.ALLOCATION, "kvm_x86_call(topup_cache)(vcpu)", "topup_cache"),
    ]


def test_a_call_that_moves_in_a_patch_is_told_and_one_that_a_later_patch_takes_back_is_not():
    def diff(*lines: str) -> str:
        return "--- a/f.c\n+++ b/f.c\n@@ -1,2 +1,2 @@ void f(void)\n" + "\n".join(lines) + "\n"

    moved = diff("-\tget_page(a);", " \tg();", "+\tget_page(a);")
    assert told(*read(moved).functions) == ["-get_page(a)", " g()", "+get_page(a)"]
    back = diff("+\tget_page(a);", " \tg();", "-\tget_page(a);")
    assert told(*read(moved + back).functions) == [" get_page(a)", " g()", " g()"]
