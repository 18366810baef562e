"""What makes fewer states of a model: what each step may touch, what is alike, and what nobody can tell apart."""

from pathlib import Path


def text(name: str) -> str:
    """The C of a reduction."""
    return (Path(__file__).parent / name).read_text()
