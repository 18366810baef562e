"""Which kernel the model follows: where releases differ, `KERNEL` decides; kvm-mmu.md 8.2.

    if KERNEL >= V6_18: ...

The branch that is not taken is no part of the model. `septum check --kernel 6.16` binds it. NEXT is the public tree after 7.3,
where Dynamic PAMT is merged; designs with Dynamic PAMT follow it unless told otherwise, and everything else the newest release.
"""

from septum.lang import Size, UserError

V6_16, V6_18, V6_19, V7_1, V7_2, V7_3, NEXT = 616, 618, 619, 701, 702, 703, 1000
KERNEL = Size("KERNEL", V7_3)

RELEASES = {"6.16": V6_16, "6.18": V6_18, "7.1": V7_1, "7.2": V7_2, "7.3": V7_3, "next": NEXT}
"""Those that a check can be asked for."""


def release(name: str | None) -> int | None:
    """The number of a release by its name; None without one."""
    if name and name not in RELEASES:
        raise UserError(f"the model follows no kernel {name}; there are {', '.join(RELEASES)}")
    return RELEASES[name] if name else None
