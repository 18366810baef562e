"""A file that is written has its name once it is whole; until then what stood there before does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from septum.lang import UserError
from septum.lang.whole import whole, write_whole


def fail(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def end(file):
    file.write(b"half")
    raise KeyboardInterrupt


def test_a_disk_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "vm.trace"
    write_whole(path, "before")
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, call, fail)
            with pytest.raises(UserError, match=r"vm\.trace: no space left on device"):
                write_whole(path, "after")
        assert (path.read_text(), list(tmp_path.iterdir())) == ("before", [path])


def test_who_ends_in_the_middle_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "vm.trace") as file:
        end(file)
    assert not list(tmp_path.iterdir())


def test_what_is_no_plain_file_is_written_to_where_it_is(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "text")
    assert (tmp_path / "file").read_text() == "text"
    assert (tmp_path / "link").is_symlink()
    write_whole(Path(os.devnull), "text")
    with pytest.raises(UserError, match="is a directory"):
        write_whole(tmp_path, "text")
