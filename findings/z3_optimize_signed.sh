#!/usr/bin/env bash
# Tool: z3-solver 5.4.0.0 (PyPI): bit vectors, and Optimize.
# Guess: what is the greatest x is judged by the order in which the constraint `x <= 5` is read, which for bit vectors in Python is the
#   signed one, so maximize(x) under x <= 5 gives 5.
# Behaviour: an objective is unsigned whatever the constraints are, so the greatest x that is at most 5 is -1, and the least that is
#   at least -5 is 0. With the sign bit flipped in the objective the answer is the one guessed.
# Seen:
#   maximize x,        x <= 5 :  -1
#   minimize x,        x >= -5:  0
#   maximize x ^ 0x80, x <= 5 :  5
#   minimize x ^ 0x80, x >= -5:  -5
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

python3 -m venv env
env/bin/pip install --quiet --no-deps z3-solver==5.4.0.0

cat > best.py <<'EOF'
from z3 import BitVec, Optimize, sat

x = BitVec("x", 8)
for said, objective, constraint, greatest in (
    ("maximize x,        x <= 5 :", x, x <= 5, True),
    ("minimize x,        x >= -5:", x, x >= -5, False),
    ("maximize x ^ 0x80, x <= 5 :", x ^ 0x80, x <= 5, True),
    ("minimize x ^ 0x80, x >= -5:", x ^ 0x80, x >= -5, False),
):
    search = Optimize()
    search.add(constraint)
    (search.maximize if greatest else search.minimize)(objective)
    assert search.check() == sat
    print(f"{said}  {search.model()[x].as_signed_long()}")
EOF
env/bin/python best.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
