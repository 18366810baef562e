"""What the model's docstrings name, and that hashes of it are kept."""

from __future__ import annotations

import pytest

from septum.sources.citations import Citation, citations, known, named
from septum.sources.kept import Release, releases
from septum.sources.tree import ordered


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("tdx_track() [7.2], kvm-mmu.md 5.7: a new epoch.", [("tdx_track", "7.2", False)]),
        ("a(), bb() and cc() [7.1], 3.3.", [("bb", "7.1", False), ("cc", "7.1", False)]),
        ("KVM_RUN, kvm_run(FAST) [7.1]: then other() waits.", [("kvm_run", "7.1", False)]),
        ("tdx_add() [7.2], 5.4; until 6.18 tdx_premap(). Errno.", [("tdx_add", "7.2", False), ("tdx_premap", "6.18", True)]),
        ("From other(): f_one() [7.1] runs f_two() [6.16 - 6.18] once.", [("f_one", "7.1", False), ("f_two", "6.16", False)]),
        ("tdx_pamt_get() [v5], 4.10: not of a release.", []),
        ("Says nothing [7.1].\n\nf_one() [7.1].", []),
    ],
)  # fmt: skip
def test_a_docstring_names_functions_with_the_release_behind_them(docstring, found):
    assert list(named(docstring)) == found


def test_the_model_names_most_of_what_it_stands_for():
    assert len({one.name for one in citations()}) > 150
    assert {"kvm_tdp_mmu_map", "tdx_sept_remove_leaf_spte", "write_lock", "tdh_mem_page_aug"} <= known()


def test_of_what_the_model_names_hashes_are_kept_or_the_docstring_says_until_when_it_was_there():
    """A name that no kept release has since is a mistake, or gone."""
    lost = {one.name for one in citations() if not one.over and not any(is_kept(one, release) for release in releases())}
    assert lost == set()


def test_what_is_said_to_be_over_no_later_release_has():
    assert not {one.name for one in citations() if one.over and any(is_kept(one, release) for release in releases())}


def is_kept(one: Citation, release: Release) -> bool:
    return one.name in release.functions and ordered(release.name) >= ordered(one.release)
