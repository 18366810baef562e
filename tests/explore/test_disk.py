"""A check whose states do not fit on the disk: incomplete, and nothing else."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DISK = 64 << 20

WIDE = """
from septum.lang import *

class World(Struct):
    slot: u64[96]

@process
def fill(m: World, i: u8):
    x = yield choose(64)
    for word in range(16):
        m.slot[16 * i + word] = x + 1
    yield

def six(setup):
    for thread in range(6):
        setup.thread(f"T{thread}", call(fill, thread))

model = Model("wide", World, (Scenario("six", "64 ways for each of six threads", six),))
"""


def check(directory, **options):
    """A check with room for 64 MiB of waiting states in memory; six threads have 70 thousand million states."""
    (directory / "wide.py").write_text(WIDE)
    command = [sys.executable, "-m", "septum", "check", str(directory / "wide.py"), "--budget", "256MiB"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2], **options)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a file system of 64 MiB; files of a limited size stand for it below")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "septum-test", directory], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system of 64 MiB could be mounted: {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", directory], check=True)


def assert_incomplete(done):
    assert done.returncode == 3, done.stderr
    assert "the disk is full or does not work" in done.stdout
    assert "1 incomplete" in done.stdout
    assert not done.stderr


def test_a_disk_of_64_mib_ends_a_check_as_incomplete(small_disk, tmp_path):
    assert_incomplete(check(tmp_path, env={**os.environ, "SEPTUM_SPILL": str(small_disk)}))
    assert not list(small_disk.iterdir())


def test_files_that_cannot_grow_end_a_check_as_incomplete(tmp_path):
    """Two files of at most 32 MiB each: one for the level under expansion, one for the next."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (DISK // 2, DISK // 2))

    assert_incomplete(check(tmp_path, env={**os.environ, "SEPTUM_SPILL": str(tmp_path)}, preexec_fn=limit))
