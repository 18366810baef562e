# septum: what a person does with the sources. Every target sets up what it needs in .venv first.

.PHONY: demo demo-all test test-thorough check-large bench fuzz docs clean

# What ends a check well: verdicts (0), findings (1) and budgets that ended (3) are results; bad input (2) is a failure.
RESULT = status=$$?; [ $$status -ne 2 ] && [ $$status -le 3 ]

# The designs that a kernel has, KVM's own side of them, and plain VMs: docs/scenarios.md says how large their scenarios are.
MERGED = upstream dpamt_merged dpamt_merged_split kvm_upstream kvm_dpamt_merged kvm_dpamt_merged_split kvm

# Three designs and a race, in a minute.
demo: .venv/.run
	@.venv/bin/septum demo

# Check every design in every scenario, and print the table; the whole report goes to demo-all.txt.
demo-all: .venv/.run
	@.venv/bin/septum check --all --report demo-all.txt; $(RESULT)

# Run the whole test suite, on all cores.
test: .venv/.test
	.venv/bin/pytest -n auto --dist loadfile

# Run what the suite leaves out: the rest of families of which it tests some.
test-thorough: .venv/.test
	.venv/bin/pytest -n auto --dist loadfile -m thorough

# Check these in the larger size of each scenario, to the end: a part of an hour, and gigabytes.
check-large: .venv/.run
	@.venv/bin/septum check $(MERGED) --scope wide; status=$$?; [ $$status -le 1 ]

# Measure transitions a second, of both engines, and every checker that is installed on one protocol.
# With OTHER=DIRECTORY, the sources of another version, also how fast both explore and translate, side by side.
bench: .venv/.test
	.venv/bin/python benchmarks/explorer.py
	.venv/bin/python benchmarks/protocol/measure.py
	$(if $(OTHER),.venv/bin/python benchmarks/builds.py $(OTHER))
	$(if $(OTHER),.venv/bin/python benchmarks/translate.py $(OTHER))

# Try damaged, forged and hostile inputs of every kind, FUZZ_SECONDS each, and print how many and what came out: docs/promises.md.
fuzz: .venv/.test
	@failed=0; for kind in fuzz/[a-z]*.py; do .venv/bin/python $$kind || failed=1; done; exit $$failed

# Build the documentation as a web site, in site/.
docs: .venv/.docs
	.venv/bin/mkdocs build --strict

clean:
	rm -rf .venv site

# An environment with septum and one group of its extras (run: none); with a C compiler from PyPI where the machine has none.
ZIG := $(shell { command -v cc || command -v gcc || command -v clang; } >/dev/null || echo ,zig)
.venv/.%: pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "septum needs Python 3.11 or newer" >&2; exit 1; }
	@python3 -c 'import ensurepip' || { echo "python3 cannot make an environment; on Debian: apt install python3-venv" >&2; exit 1; }
	@[ -x .venv/bin/pip ] || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[$*$(ZIG)]'
	@touch $@
