"""The command line, one file a command: check, list, show, explain."""

from septum.cli.app import main

__all__ = ["main"]
