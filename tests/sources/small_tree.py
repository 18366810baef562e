"""A kernel tree of a few functions, written for these tests: names of the kernel, nothing of its text."""

from __future__ import annotations

from pathlib import Path

MAKEFILE = "VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 0\n"

TDP_MMU = """
/* Tables of a small tree. */
#include "mmu.h"

struct __packed walk_state {
	int level;
};

static __always_inline int is_mirror_sp(struct page *page)
{
	return page->mirror;
}

static void tdp_mmu_unlink_sp(struct kvm *kvm, struct page *page)
{
	spin_lock(&kvm->pages_lock);
	untrack(page);
	spin_unlock(&kvm->pages_lock);
}

static int tdp_mmu_split_huge_page(struct kvm *kvm, struct page *page)
{
	int i;

	for_each_child(i, page) {
		fill(page, make_small_spte(kvm, i));
	}
	return kvm_x86_call(set_entry)(kvm, page);
}

int kvm_tdp_mmu_map(struct kvm *kvm, struct page *page)
{
	rcu_read_lock();
	if (is_mirror_sp(page))
		tdp_mmu_split_huge_page(kvm, page);
	rcu_read_unlock();
	return RET_PF_RETRY;
}
"""

TDX = """
static int tdx_track(struct kvm *kvm)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
	return seamcall(TRACK, container_of(kvm, struct tdx, kvm));
}

static int tdx_set_entry(struct kvm *kvm, struct page *page)
{
	return deep(kvm);
}

static int deep(struct kvm *kvm)
{
	return deeper(kvm);
}

static int deeper(struct kvm *kvm)
{
	return 0;
}

static struct ops ops = {
	.set_entry = tdx_set_entry,
};
"""

FILES = {"Makefile": MAKEFILE, "arch/x86/kvm/mmu/tdp_mmu.c": TDP_MMU, "arch/x86/kvm/vmx/tdx.c": TDX}


def write(root: Path, *changes: tuple[str, str], release: str = "7.2") -> Path:
    """The tree in a directory, with texts replaced; each must be there."""
    files = dict(FILES)
    files["Makefile"] = MAKEFILE.replace("PATCHLEVEL = 2", f"PATCHLEVEL = {release.partition('.')[2]}")
    for old, new in changes:
        assert any(old in text for text in files.values()), old
        files = {name: text.replace(old, new) for name, text in files.items()}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
