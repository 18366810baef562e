"""The readers of traces under the address and undefined-behaviour sanitizers: mutated traces, and damaged archives."""

from __future__ import annotations

import gzip
import itertools
import lzma
import os
import random
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from septum.lang.errors import UserError
from septum.replay.kernels import ERA_FIELDS, ERAS, FORMAT_FIELDS, FORMATS
from septum.replay.native import _translate
from septum.replay.ready import translated
from septum.replay.source import Truncated, chunks
from septum.translate.compile import compiler
from tests.replay import forms
from tests.replay.samples import SAMPLES, lines_of, text_of

HERE = Path(__file__).parent
CASES = HERE.parent / "replay" / "cases"
SANITIZED = ("-std=gnu11", "-O1", "-g", "-fno-strict-aliasing", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-w")
SAMPLE_LINES = 1500
FORMS: tuple[Callable[[str], str], ...] = (
    forms.trace_pipe, forms.with_tgid, forms.trace_cmd, forms.trace_cmd_without_plugins, forms.trace_cmd_with_plugins,
    forms.perf_script,
)  # fmt: skip


def layouts() -> str:
    """C that gives a world the layout of any format and kernel."""
    cases = []
    for number, (format_, era) in enumerate(itertools.product(FORMATS, ERAS)):
        values = [
            (name, int(getattr(one, name))) for one, names in ((format_, FORMAT_FIELDS), (era, ERA_FIELDS)) for name in names
        ]
        fields = " ".join(f"world->layout.{name} = {value:#x}ull;" for name, value in values)
        cases.append(f"case {number}: {fields} p->nonpresent = {era.nonpresent:#x}ull; p->frozen = {era.frozen:#x}ull; break;")
    body = "\n".join(cases)
    head = f"enum {{ LAYOUTS = {len(cases)} }};\nstatic void fill_layout(replay_t *p, world_t *world, int number)\n"
    return f"{head}{{\nswitch (number) {{\n{body}\n}}\n}}\n"


def built(directory: Path) -> Path:
    """The program, with sanitizers."""
    source, program = directory / "readers.c", directory / "readers"
    source.write_text("\n".join([translated(_translate).code, layouts(), (HERE / "readers.c").read_text()]))
    subprocess.run([*compiler(), *SANITIZED, "-o", str(program), str(source)], check=True)
    return program


def corpus(directory: Path) -> list[Path]:
    """All cases, the beginnings and ends of the real samples, and one of them in every form."""
    texts = [file.read_bytes() for file in sorted(CASES.iterdir()) if file.suffix in (".trace", ".txt")]
    for name in SAMPLES:
        lines = lines_of(name)
        texts += ["\n".join(part).encode() for part in (lines[:SAMPLE_LINES], lines[-SAMPLE_LINES:])]
    texts += [form(text_of("6.12-race-exits")).encode() for form in FORMS]
    files = [directory / f"corpus-{number}" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text)
    return files


def fuzz(program: Path, files: list[Path], inputs: int, seed: int) -> Counter[str]:
    """What came out of so many inputs; CalledProcessError if a sanitizer, or an assertion of the model, complains.

    The input that was tried last lies in `fuzz-input` beside the program.
    """
    run = subprocess.run(
        [program, str(seed), str(inputs), *map(str, files)],
        cwd=program.parent, check=True, capture_output=True, text=True, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
    )  # fmt: skip
    return Counter({name: int(count) for name, count in re.findall(r"(followed|diverged|nothing to follow) (\d+)", run.stdout)})


def damaged(count: int, seed: int, directory: Path) -> Counter[str]:
    """Packed traces that are cut or have other bytes: each is read up to the damage, or to its end."""
    rng, came = random.Random(seed), Counter[str]()
    text = text_of("6.12-race-exits").encode()
    packed = [gzip.compress(text), lzma.compress(text), gzip.compress(b"\x17\x08\x44tracing6\0" + text)]
    file = directory / "packed"
    for _ in range(count):
        data = bytearray(rng.choice(packed[:2]))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(data[: rng.randrange(len(data))] if rng.randrange(2) else data)
        try:
            with chunks(str(file)) as pieces:
                size = sum(map(len, pieces))
            came["read to the end" if size else "empty"] += 1
        except Truncated:
            came["cut or damaged"] += 1
        except UserError:
            came["refused"] += 1
    return came
