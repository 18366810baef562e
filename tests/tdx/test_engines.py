"""The whole module leaves the same bytes in both engines, call by call and step by step."""

from __future__ import annotations

import random

import pytest

from septum.tdx.bringup import Host
from septum.tdx.leaves import Leaf
from septum.tdx.module import Module
from tests.tdx.test_random import MEMORY, SMALL


def world(module: Module) -> bytes:
    """Everything but the frames of the calls."""
    return bytes(module._space[1][: module._translation.world_size])


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_random_calls_leave_the_same_bytes(dynamic):
    modules = [Module(SMALL, engine=engine, dynamic_pamt=dynamic, cmrs=MEMORY) for engine in ("c", "python")]
    tds = []
    for module in modules:
        host = Host(module, dynamic=dynamic)
        td = host.td(vcpus=2)
        td.link(0)
        page = td.augment(0x1000)
        tds.append((td, page))
    assert world(modules[0]) == world(modules[1])
    dice = random.Random(3)
    failed = 0
    for _ in range(300):
        leaf, lp, registers = any_call(dice, *tds[0])
        calls = [module.begin(leaf, lp=lp, **registers) if not module.m.lp[lp].vcpu else None for module in modules]
        if calls[0] is None:
            answers = [module.access(td.vcpus[lp], 0x1000) for module, (td, _) in zip(modules, tds, strict=True)]
            assert answers[0] == answers[1]
            [module.interrupt(lp) for module in modules if module.m.lp[lp].vcpu]
            continue
        while True:
            ended = [call.step() for call in calls if call]
            assert ended[0] == ended[1]
            assert world(modules[0]) == world(modules[1]), Leaf(leaf & 0xFFFF)
            if ended[0]:
                break
        assert calls[0].answer == calls[1].answer
        failed += not calls[0].answer.ok
    assert 50 < failed < 290


def any_call(dice, td, page):
    """A leaf with operands that often fit."""
    leaf = dice.choice(
        [leaf for leaf in Leaf if not leaf.name.startswith("SYS") and leaf not in (Leaf.MNG_VPFLUSHDONE, Leaf.MR_FINALIZE)]
    )
    gpa = dice.choice([0, 0x1000, 0x2000, 0x4000, 1 << 17])
    somewhere = dice.choice([page, td.pages[-1], td.tdr, 0x55000, 0x60000, 3])
    registers = {"rcx": gpa | dice.randrange(3), "rdx": td.tdr, "r8": somewhere, "r9": 0, "r12": 0x71000, "r13": 0x72000}
    lp = dice.randrange(2)
    if leaf.name.startswith(("VP", "PHYMEM", "MNG")):
        registers["rcx"] = dice.choice([td.vcpus[lp], td.tdr, somewhere, 0x40001])
    return int(leaf), lp, registers
