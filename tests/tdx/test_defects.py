"""Each thing that must hold after random calls is found broken where a one-line defect of the module breaks it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.designs.mutate import mutated
from tests.designs.mutations import Mutation
from tests.tdx.test_random import run


@dataclass(frozen=True)
class Defect:
    """`what` is wrong with a function of septum/tdx, and the words in which the random calls find it."""

    what: str
    file: str
    function: str
    old: str
    new: str
    found: str
    dynamic: bool = False


NO_MORE = "guest reaches page|may use a translation|an assertion fails.*tlb"
DEFECTS = (
    # children are counted
    Defect("AUG counts a large page as one", "mem_page", "tdh_mem_page_aug", "PageCount(pages_per_leaf(level))", "1", "CHLDCNT"),
    # PAMT and Secure EPT agree
    Defect("REMOVE leaves the page REG", "mem_page", "tdh_mem_page_remove", "release(m, page, level)", "pass", "is named by 0"),
    Defect("SEPT.REMOVE of a table with children", "mem_sept", "removable_table", "and not is_empty(m, page)", "and False",
           "is named by 0"),
    Defect("PROMOTE of children in any order", "promote", "continues", "return word == first + ((i * pages) << PAGE_SHIFT)",
           "return sept_state(word) == sept_state(first)", "is named by 0|names page|with parts in use"),
    Defect("DEMOTE of a 1G page leaves it REG", "demote", "split_metadata", "m.gig[gig_of(first)].type = PageType.NDA", "pass",
           "1G page"),
    # a page has one owner
    Defect("a page in use may be given again", "pamt", "explicit", "type_at(m, page, level) != want or",
           "want == PageType.TDR and", "is type|names page|with parts in use"),
    # Dynamic PAMT
    Defect("a free is not counted", "pamt", "uncount_page", "entry.count -= 1", "pass", "counts", True),
    Defect("a pair of one page", "pairs", "lock_pair", "page0 == page1 or", "", "is in 2 pairs", True),
    # no guest reaches a page that is gone
    Defect("BLOCK writes no BEPOCH", "mem_range", "tdh_mem_range_block",
           "set_bepoch(m, leaf_page(word, level), level, m.td[vm].epoch)", "pass", NO_MORE),
    Defect("tracked while the old epoch runs", "tracking", "tracked", " and td.refcount[bepoch % 2] == 0", "", NO_MORE),
    Defect("TRACK does not wait for the epoch before", "tracking", "tdh_mem_track", "td.refcount[(td.epoch + 1) % 2] != 0",
           "False", NO_MORE),
    Defect("no INVEPT in a new epoch", "vp", "enter_guest", "newer or ", "", NO_MORE),
    Defect("a TD exit is not counted", "vp", "leave_guest", "m.td[build.vm].refcount[m.tdvps[vcpu].epoch % 2] -= 1", "pass",
           "REFCOUNT"),
    # a call that fails changes nothing but its marks
    Defect("UNBLOCK before it is tracked", "mem_range", "tdh_mem_range_unblock", "        status = tracking(",
           "        set_entry(m, vm, gfn, level, unblocked(word))\n        status = tracking(", "fails .* and changes byte"),
    Defect("a failed RELOCATE writes to the new page", "mem_page", "relocatable", "    status = lock_page(m, page, R8)",
           "    m.table[page].word[0] = word\n    status = lock_page(m, page, R8)", "writes to a page of the host|changes byte"),
    Defect("a failed AUG keeps its locks", "mem_page", "tdh_mem_page_aug",
           "        end(m, vm, gfn, level, False)\n        return status", "        return status", "held|is locked"),
    Defect("a busy guest leaves the mark of a host", "guest", "guest_lock", "        reached(entry_busy)",
           "        m.table[table].word[i] = word | TDHP\n        reached(entry_busy)", "leaves 1 marks"),
    # everything can be had back
    Defect("FREEID keeps the HKID", "mng", "tdh_mng_key_freeid", "m.kot[td.build.hkid].state = KotState.FREE", "pass",
           "HKID .* had back"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.what)
def test_a_defect_is_found(defect):
    mutation = Mutation(defect.what, f"tdx/{defect.file}.py", defect.function, defect.old, defect.new, "", "")
    with mutated(mutation), pytest.raises(AssertionError, match=f"seed .*({defect.found})"):
        run(300_000, 5, dynamic=defect.dynamic, version="1.5.25" if defect.dynamic else "1.5.16", planted=defect.what)
