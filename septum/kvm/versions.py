"""Which kernel the model follows: where releases differ, `KERNEL` decides; kvm-mmu.md 8.2. By default the newest.

    if KERNEL >= V6_18: ...

The branch that is not taken is no part of the model. `septum check --kernel 6.16` binds it.
"""

from septum.lang import Size, UserError

V6_16, V6_18, V6_19, V7_1, V7_2 = 616, 618, 619, 701, 702
KERNEL = Size("KERNEL", V7_2)

RELEASES = {"6.16": V6_16, "6.18": V6_18, "7.2": V7_2}
"""Those that a check can be asked for."""


def release(name: str) -> int | None:
    """The number of a release by its name; None without one."""
    if name and name not in RELEASES:
        raise UserError(f"the model follows no kernel {name}; there are {', '.join(RELEASES)}")
    return RELEASES[name] if name else None
