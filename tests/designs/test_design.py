"""A design is functions given for operations; what does not fit is refused when it is written."""

from __future__ import annotations

import pytest

from septum.designs import BUILT_IN, dpamt_merged, upstream
from septum.kvm.design import Design
from septum.kvm.machine import VCPU_DESIGN
from septum.kvm.ops import OPERATIONS, ops
from septum.lang import Struct, UserError, scope, u8


def test_a_design_has_its_own_operations_and_those_of_its_base():
    design = Design("mine", base=upstream)

    @design.process
    def put_control_page(m, page):
        yield

    assert design.operations == upstream.operations
    assert design.function("put_control_page") is put_control_page
    assert upstream.function("put_control_page") is not put_control_page
    with scope(design.bindings()):
        assert ops.put_control_page is put_control_page
        assert ops.link_external_spt is upstream.function("link_external_spt")


def test_its_struct_takes_the_slot():
    design = Design("mine", base=upstream)

    @design.vcpu
    class Mine(Struct):
        n: u8

    assert design.bindings()[VCPU_DESIGN] is Mine


def test_a_misspelt_operation_is_refused_with_a_guess():
    with pytest.raises(UserError, match=r"topup_external_cash is no operation; did you mean topup_external_cache\?"):

        @Design("mine").process
        def topup_external_cash(m, vcpu, tables):
            yield


def test_an_operation_with_other_parameters_is_refused():
    with pytest.raises(UserError, match=r"put_control_page takes \(m\), and is called with \(m, page\)"):

        @Design("mine").process
        def put_control_page(m):
            yield


def test_what_a_design_lacks_is_named():
    with scope(upstream.bindings()):
        with pytest.raises(AttributeError, match="the design has no operation split_external_spte"):
            _ = ops.split_external_spte
        with pytest.raises(AttributeError, match="no operation is called splice"):
            _ = ops.splice


@pytest.mark.parametrize("design", BUILT_IN, ids=lambda design: design.name)
def test_every_built_in_design_has_a_title_and_a_file_of_its_name(design):
    assert design.title
    assert design.file.stem == design.name
    assert {"link_external_spt", "set_external_spte", "remove_external_spte", "free_external_spt"} <= design.operations


def test_splits_are_where_they_were_proposed():
    able = {design.name for design in BUILT_IN if "split_external_spte" in design.operations}
    assert {"dpamt_v4", "dpamt_v5", "dpamt_merged_split"} <= able
    assert not able & {"upstream", "dpamt_rfc", "dpamt_v2", "dpamt_v3", "dpamt_v6", "dpamt_merged"}
    assert set(OPERATIONS) >= dpamt_merged.operations
