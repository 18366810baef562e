"""guest_memfd: the pages of an inode, punch hole, and the bracket of an invalidation; kvm-mmu.md 6.4, 6.5."""

from septum.host.frames import Content, Gfp, Role, alloc_page, get_page, may_fail, note_failure, put_page, take, ways_to_fail
from septum.host.geometry import Gfn, Pfn, VmId
from septum.host.locks import mutex_lock, mutex_unlock, write_lock, write_unlock
from septum.host.pools import EINTR, ENOMEM, OK
from septum.host.signals import signal_pending
from septum.kvm.contents import dropped, dropping
from septum.kvm.invalidation import kvm_mmu_invalidate_end, kvm_mmu_invalidate_start
from septum.kvm.machine import Machine
from septum.kvm.tdp.mirror_zap import tdp_mmu_zap_leafs
from septum.kvm.virt.gmem_file import CLOSES_FILE
from septum.kvm.virt.hwpoison import HWPOISON, is_poisoned, memory_failed, met_hwpoison
from septum.lang import Witness, atomic, choose, process, reached

hole_punched = Witness("hole_punched", "a hole was punched where a page was")


@process
def kvm_gmem_get_pfn(m: Machine, vm: VmId, gfn: Gfn):
    """kvm_gmem_get_pfn() [7.1]: gets or creates the folio, with a reference; 0 without memory. No lock excludes a punch hole.

    Of a file whose last reference is gone nothing can be had: get_file_active() fails. Nor a page whose memory failed.
    """
    yield
    atomic("filemap_grab_folio() finds the folio or adds it under the lock of the file's mapping, and has it locked")
    if HWPOISON:
        atomic("a page that fails after this look is found by its invalidation")
        if is_poisoned(m, vm, gfn):
            reached(met_hwpoison)
            return Pfn(0)
    if CLOSES_FILE:
        atomic("a reference to the file keeps its release out until the page is found")
        if m.vm[vm].file.dying:
            return Pfn(0)
    if m.vm[vm].gmem[gfn] == 0 and may_fail(m):
        failing = yield choose(lambda: ways_to_fail(m, 1))
        if failing != 0:
            note_failure(m)
            return Pfn(0)
        atomic("as above")
    page = m.vm[vm].gmem[gfn]
    if page == 0:
        page = alloc_page(m, Gfp.KERNEL_ACCOUNT, Content.ZEROED)
        take(m, page, Role.HAND, Role.GUEST)
        m.frame[page].refcount = 1
        m.vm[vm].gmem[gfn] = page
    get_page(m, page)
    return page


@process
def kvm_gmem_punch_hole(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """kvm_gmem_punch_hole() [7.1]: zap between begin and end, and drop the pages before the end."""
    yield from mutex_lock(m, m.vm[vm].invalidate_lock)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_mmu_invalidate_start(m, vm, first, last)
    dropping(m, vm, first, last)
    yield from tdp_mmu_zap_leafs(m, vm, first, last)
    dropped(m, vm)
    write_unlock(m, m.vm[vm].mmu_lock)
    done = 0
    while first + done <= last:
        yield
        if HWPOISON:
            atomic("the folio is locked until it is out of the file")
        truncate(m, vm, Gfn(first + done), Gfn(first + done))
        done = done + 1
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_mmu_invalidate_end(m, vm)
    write_unlock(m, m.vm[vm].mmu_lock)
    mutex_unlock(m, m.vm[vm].invalidate_lock)


@process
def kvm_gmem_allocate(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """kvm_gmem_allocate() [7.1]: the pages are there before anybody faults, and no hole is punched meanwhile; Errno.

    Stops for a signal. The kernel holds invalidate_lock shared.
    """
    yield from mutex_lock(m, m.vm[vm].invalidate_lock)
    error = OK
    done = 0
    while error == OK and first + done <= last:
        signal = yield from signal_pending(m)
        error = EINTR
        if not signal:
            page = yield from kvm_gmem_get_pfn(m, vm, Gfn(first + done))
            error = ENOMEM
            if page != 0:
                put_page(m, page)
                error = OK
                done = done + 1
    mutex_unlock(m, m.vm[vm].invalidate_lock)
    return error


@process
def kvm_gmem_error_folio(m: Machine, vm: VmId, gfn: Gfn):
    """kvm_gmem_error_folio() [7.1], when memory fails, of a page that is there: marked first, then unmapped, not truncated."""
    yield
    atomic("the folio is locked, which keeps it in the file")
    if m.vm[vm].gmem[gfn] == 0:
        return
    m.vm[vm].poison.page[gfn] = True
    reached(memory_failed)
    yield from mutex_lock(m, m.vm[vm].invalidate_lock)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_mmu_invalidate_start(m, vm, gfn, gfn)
    dropping(m, vm, gfn, gfn)
    yield from tdp_mmu_zap_leafs(m, vm, gfn, gfn)
    dropped(m, vm)
    write_unlock(m, m.vm[vm].mmu_lock)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_mmu_invalidate_end(m, vm)
    write_unlock(m, m.vm[vm].mmu_lock)
    mutex_unlock(m, m.vm[vm].invalidate_lock)


def truncate(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """truncate_inode_pages_range(): the inode's references are dropped."""
    for gfn in range(first, last + 1):
        page = m.vm[vm].gmem[Gfn(gfn)]
        if page != 0:
            m.vm[vm].gmem[Gfn(gfn)] = 0
            m.vm[vm].huge[Gfn(gfn)] = False
            if HWPOISON:
                m.vm[vm].poison.page[Gfn(gfn)] = False
            put_page(m, page)
            reached(hole_punched)
