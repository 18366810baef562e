"""The command line, one file a command: check, list, show, explain."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; the exit status. Without arguments it is that of the process, and run in a process of its own."""
    if arguments is None:
        from septum.cli.supervise import supervised

        return supervised(_main)
    from septum.cli.app import main as run

    return run(arguments)


def _main() -> int:
    from septum.cli.app import main as run

    return run()
