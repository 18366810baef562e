"""Memory by role and SEAMCALLs over the time of simulations, a column for each design, as PNG or SVG. Needs septum[plot]."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from septum.host.frames import Role
from septum.lang.errors import UserError
from septum.lang.whole import whole
from septum.report.plot import install
from septum.simulate.hosts import PAGE
from septum.simulate.simulate import Simulated

SUFFIXES = (".png", ".svg")
SHOWN = {
    Role.SPT: ("mirror tables", "#4c78a8"), Role.EXTERNAL: ("S-EPT tables", "#f58518"), Role.PAIR: ("PAMT pairs", "#54a24b"),
    Role.POOL: ("in pools", "#b279a2"), Role.CONTROL: ("control", "#9d755d"),
}  # fmt: skip
MIB = 1 << 20


def check_plot(name: str) -> None:
    """UserError, before anything runs, if a plot cannot be drawn into this file."""
    if Path(name).suffix not in SUFFIXES:
        raise UserError(f"--plot {name}: the name ends in {' or '.join(SUFFIXES)}")
    if not Path(name).parent.is_dir():
        raise UserError(f"--plot {name}: there is no directory {Path(name).parent}")
    if not importlib.util.find_spec("matplotlib"):
        raise UserError(f"--plot needs matplotlib: {install()}")


def draw(found: Sequence[Simulated], name: str) -> None:
    """Draws simulations beside each other into a file; its suffix says how."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(found) + 1, 6), layout="constrained")
    axes = figure.subplots(2, len(found), squeeze=False, sharex="col", sharey="row")
    for column, one in enumerate(found):
        _memory(axes[0][column], one)
        _seamcalls(axes[1][column], one)
    axes[0][0].set_ylabel("MiB beside the guest's pages")
    axes[1][0].set_ylabel("SEAMCALLs, millions")
    axes[0][0].legend(loc="upper left", fontsize="small")
    with whole(Path(name)) as file:
        figure.savefig(file, dpi=120, format=Path(name).suffix[1:])


def _memory(axes: Any, one: Simulated) -> None:
    times = [sample.seconds for sample in one.samples]
    heights = [[sample.pages[role] * PAGE / MIB for sample in one.samples] for role in SHOWN]
    axes.stackplot(times, heights, labels=[label for label, _ in SHOWN.values()], colors=[colour for _, colour in SHOWN.values()])
    axes.set_title(one.design)


def _seamcalls(axes: Any, one: Simulated) -> None:
    axes.plot([sample.seconds for sample in one.samples], [sample.seamcalls / 1e6 for sample in one.samples], color="#4c78a8")
    axes.set_xlabel("seconds of the model")
