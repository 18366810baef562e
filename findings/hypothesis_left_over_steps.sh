#!/usr/bin/env bash
# Tool: hypothesis 6.170.15 (PyPI), stateful tests, with sortedcontainers 2.4.0.
# Guess: a failing program of rules is shrunk until no step can be left out, whatever it was found from, where a step that is left out
#   changes nothing that the others read.
# Behaviour: the example of two seeds of three keeps calls whose results no other step uses, and fails as well without them. It is the
#   rules that put a value into a bundle that stay: hypothesis lists bundles as a regression of its shrinker in issue 4006.
# Seen:
#   seed 1: 4 steps, left over 0: comes reads(0) writes(0) writes(0)
#   seed 2: 7 steps, left over 3: comes reads(0) comes writes(0) comes comes writes(0)
#   seed 4: 8 steps, left over 4: comes reads(0) comes writes(0) comes comes comes writes(0)
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

python3 -m venv env
env/bin/pip install --quiet --no-deps hypothesis==6.170.15 sortedcontainers==2.4.0

cat > shrink.py <<'EOF'
import re

from hypothesis import seed, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

class Pool(RuleBasedStateMachine):
    """Who comes to a pool reads its length and writes one less; a length that is written twice gives a page to two."""
    takers = Bundle("takers")
    def __init__(self):
        super().__init__()
        self.length, self.read, self.written = 2, [], []

    @rule(target=takers)
    def comes(self):
        self.read.append(None)
        return len(self.read) - 1

    @rule(taker=takers)
    def reads(self, taker):
        self.read[taker] = self.length

    @rule(taker=takers)
    def writes(self, taker):
        if self.read[taker] is not None:
            self.length = self.read[taker] - 1
            assert self.length not in self.written
            self.written.append(self.length)

for number in (1, 2, 4):
    try:
        run_state_machine_as_test(seed(number)(Pool), settings=settings(max_examples=300, database=None))
    except AssertionError as failure:
        steps = re.findall(r"state\.(comes|reads|writes)\((?:taker=takers_(\d+))?\)", "\n".join(failure.__notes__))
        left_over = steps.count(("comes", "")) - len({taker for _, taker in steps if taker})
        said = " ".join(name + (f"({taker})" if taker else "") for name, taker in steps)
        print(f"seed {number}: {len(steps)} steps, left over {left_over}: {said}")
EOF
env/bin/python shrink.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
