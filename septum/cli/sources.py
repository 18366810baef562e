"""`septum sources`: what of a kernel tree the model stands for, and what has changed since."""

from __future__ import annotations

from pathlib import Path

import click

from septum.cli.output import colour, width, write, write_json

FOUND = 1


@click.command(short_help="Compare the model with a kernel tree.")
@click.argument("trees", metavar="[TREE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--changed", is_flag=True, help="Show only what is changed, gone or not readable.")
@click.option("--depth", type=click.IntRange(0), default=1, help="Name what the model has not to this call depth (default: 1).")
@click.option("--keep", is_flag=True, help="Keep the hashes of each TREE as those of the release that its Makefile names.")
@click.option("--hashes", type=click.Path(path_type=Path), help="The directory of kept hashes (default: septum's own).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def sources(trees: tuple[Path, ...], changed: bool, depth: int, keep: bool, hashes: Path | None, as_json: bool) -> int:
    """Say of each kernel function that the model names whether a TREE has it, and whether it is what it was.

    A TREE is a kernel's sources, or a directory with as much of arch/x86/kvm, virt/kvm and arch/x86/virt as is to be looked at.
    A function is compared with the release that the model's docstring names, by hash: white space and comments do not count.
    The exit status is 1 if one is changed, gone or not readable. With several trees, the table has a column for each; without
    a TREE, those releases are compared of which hashes are kept.
    """
    from septum.report.sources import Seen, document, text
    from septum.sources import kept
    from septum.sources.citations import citations, known
    from septum.sources.compare import compare
    from septum.sources.reach import beyond
    from septum.sources.tree import read_tree

    directory = hashes or kept.DIRECTORY
    names = [one.name for one in citations()]
    read = [read_tree(tree) for tree in trees]
    for tree in read if keep else ():
        kept.keep(tree, names, directory)
    releases = kept.releases(directory)
    read = read or [release.tree() for release in releases]
    seen = [Seen(tree, compare(tree, citations(), releases), beyond(tree, names, known())) for tree in read]
    if as_json:
        write_json(document(seen, known()))
    else:
        write(text(seen, known(), depth, width(), colour(), changed))
    return FOUND if any(one.drifted for one in seen) else 0
