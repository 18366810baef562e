"""A split that holds nothing of its design from the top-up to the end: pools may change in between; designs.md 5.8, 5.9."""

from septum.lang import process


@process
def begin_split(m, vm, vcpu):
    """Nothing is taken."""
    yield


def end_split(m, vm, vcpu):
    """Nothing is given back."""
