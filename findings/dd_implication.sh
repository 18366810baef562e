#!/usr/bin/env bash
# Tool: dd 0.6.0 (PyPI), decision diagrams; its formulas, parsed by astutils 0.0.6 with ply 3.10.
# Guess: `a => b => c` means a => (b => c), as in logic and in the SMT-LIB standard, and ^ binds tighter than |, as in C and Python.
# Behaviour: => groups from the left, so that with all three false the formula is false; and ^ binds weaker than |, which binds as
#   in C otherwise. With `invariant => guard => claim` the wrong states are counted, and nothing is refused.
# Seen:
#   a => b => c   is (a => b) => c: True    is a => (b => c): False
#   a ^ b | c     is a ^ (b | c):   True    is (a ^ b) | c:   False
#   a | b & c     is a | (b & c):   True    is (a | b) & c:   False
#   models of a => b => c, of 8: 5
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

python3 -m venv env
env/bin/pip install --quiet --no-deps dd==0.6.0 astutils==0.0.6 ply==3.10

cat > parse.py <<'EOF'
from dd.autoref import BDD

diagram = BDD()
diagram.declare("a", "b", "c")
for formula, one, other in (
    ("a => b => c", "(a => b) => c", "a => (b => c)"),
    ("a ^ b | c", "a ^ (b | c)", "(a ^ b) | c"),
    ("a | b & c", "a | (b & c)", "(a | b) & c"),
):
    parsed, first, second = (diagram.add_expr(text) for text in (formula, one, other))
    print(f"{formula:13} is {one + ':':14} {parsed == first!s:7} is {other + ':':14} {parsed == second}")
print("models of a => b => c, of 8:", diagram.count(diagram.add_expr("a => b => c"), nvars=3))
EOF
env/bin/python parse.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
