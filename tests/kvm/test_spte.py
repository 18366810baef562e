"""SPTEs have the values that kvm-mmu.md 2 works out for a TDX VM."""

from __future__ import annotations

import pytest

from septum.host.entry import FROZEN_SPTE, POISON, SHADOW_NONPRESENT_VALUE, describe
from septum.kvm.tdp.spte import (
    is_access_allowed,
    is_access_track_spte,
    is_last_spte,
    is_shadow_present_pte,
    make_direct_spte,
    make_nonleaf_spte,
    make_small_spte,
    make_spte,
    mark_spte_for_access_track,
    read_spte,
    restore_acc_track_spte,
    spte_to_pfn,
)
from tests.machine import world


def test_the_worked_values_of_the_reference():
    with world():
        assert make_spte(0x12, 1) == 0x8600000000000B37 | 0x12 << 12
        assert make_nonleaf_spte(0x12) == 0x8000000000000907 | 0x12 << 12
        assert make_spte(0x12, 2) == make_spte(0x12, 1) | 1 << 7


@pytest.mark.parametrize("special", [SHADOW_NONPRESENT_VALUE, FROZEN_SPTE, POISON, 0])
def test_special_values_are_not_present_and_hold_no_page(special):
    assert not is_shadow_present_pte(special)
    assert special & 0x000FFFFFFFFFF000 == 0


def test_a_leaf_leads_to_its_page_and_a_table_to_its_table():
    with world():
        for spte in (make_spte(7, 1), make_spte(6, 2), make_nonleaf_spte(5)):
            assert is_shadow_present_pte(spte)
        assert spte_to_pfn(make_spte(7, 1)) == 7
        assert is_last_spte(make_spte(6, 2), 2)
        assert not is_last_spte(make_nonleaf_spte(5), 2)


def test_the_pages_of_a_huge_leaf_follow_one_another():
    with world():
        huge = make_spte(6, 2)
        assert [make_small_spte(huge, i) for i in range(2)] == [make_spte(6, 1), make_spte(7, 1)]


@pytest.mark.parametrize("word", [0, POISON])
def test_a_walker_must_not_read_what_only_the_allocator_wrote(word):
    with world() as made:
        page = made.page(3)
        made.fill(page, word)
        with pytest.raises(AssertionError, match="initial value: entry 1 of table"):
            read_spte(made.m, page, 1)


def test_a_leaf_that_is_aged_without_ad_bits_has_no_permissions_until_it_is_used():
    with world(like="age_track"):
        spte = make_direct_spte(7, 1, True, False)
        aged = mark_spte_for_access_track(spte)
        assert aged == (spte & ~0x107) | 1 << 54 | 1 << 56
        assert is_shadow_present_pte(aged)
        assert is_access_track_spte(aged)
        assert not is_access_allowed(False, aged)
        assert restore_acc_track_spte(aged) == spte & ~0x102


def test_words_are_shown_as_what_they_are():
    with world():
        assert describe(make_spte(7, 1)) == "leaf pfn 7"
        assert describe(make_spte(6, 2)) == "huge leaf pfn 6"
        assert describe(make_nonleaf_spte(5)) == "table pfn 5"
        assert [describe(word) for word in (0, SHADOW_NONPRESENT_VALUE, FROZEN_SPTE, POISON)] == [
            "0", "nonpresent", "FROZEN", "uninitialised",
        ]  # fmt: skip
