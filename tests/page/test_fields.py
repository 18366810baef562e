"""The bytes of a world by name."""

from __future__ import annotations

from septum.check.loading import load
from septum.explore.build import build
from septum.lang import Model
from septum.lang.types import scope
from septum.page.fields import Fields


def test_of_a_small_world_all_is_shown(pool_model: Model) -> None:
    built = build(pool_model, pool_model.scenarios[0])
    with scope(built.bindings):
        groups = {one.name: dict(one.cells) for one in Fields(built.model.world, built.translation).groups(built.world)}
    assert groups["nobjs"] == {"": "2"}
    assert groups["taken"] == {"[0]": "0", "[1]": "0"}
    assert groups["lock"]["writer"] == "{}"


def test_of_a_large_world_what_is_zero_is_left_out_and_so_is_what_is_no_thing() -> None:
    model = load("dpamt_merged")
    built = build(model, next(one for one in model.scenarios if one.name == "same_gfn"))
    with scope(built.bindings):
        fields = Fields(built.model.world, built.translation)
        groups = {one.name: dict(one.cells) for one in fields.groups(built.world)}
        pools = {one.path for one in fields.pools}
    assert groups["frame[1]"]["role"] == "CONTROL"
    assert not any(name.endswith("[0]") for name in groups)
    assert "0" not in {value for cells in groups.values() for value in cells.values()}
    assert pools >= {"vcpu[1].mmu_shadow_page_cache", "vcpu[2].design.pamt_cache"}
    assert "vcpu[0].mmu_shadow_page_cache" not in pools


def test_every_scalar_has_the_name_and_the_place_that_the_engine_gives_it(pool_model: Model) -> None:
    built = build(pool_model, pool_model.scenarios[0])
    with scope(built.bindings):
        fields = Fields(built.model.world, built.translation)
        assert [fields.places.scalar(one.offset) for one in fields.all] == [(one.path, one.of) for one in fields.all]
