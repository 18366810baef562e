#!/usr/bin/env bash
# Tool: whatthepatch 1.0.7 (PyPI), which reads and applies unified diffs.
# Guess: an unchanged empty line of a hunk may be an empty line of the patch as well as a single blank: so `diff -u
#   --suppress-blank-empty` writes it, so mail programs leave it that strip blanks at the ends of lines, and git apply takes both.
# Behaviour: the empty line is skipped without a word. All lines after it are numbered one too low, and a hunk which fits its file
#   is refused by apply_diff as not fitting.
# Seen:
#   with a blank: b is line 3, old lines 1 to 4
#     applied: a||b|c|d
#   without:      b is line 2, old lines 1 to 3
#     HunkApplyException: context line 2, "c" does not match "", in hunk #1
#   git apply:    a||b|c|d
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

python3 -m venv env
env/bin/pip install --quiet --no-deps whatthepatch==1.0.7
printf 'a\n\nc\nd\n' > old
printf 'a\n\nb\nc\nd\n' > new
diff -u --label a/old --label b/old old new > with.patch || true
diff -u --suppress-blank-empty --label a/old --label b/old old new > without.patch || true

cat > read.py <<'EOF'
from pathlib import Path

import whatthepatch

for said, name in ("with a blank:", "with.patch"), ("without:     ", "without.patch"):
    (diff,) = whatthepatch.parse_patch(Path(name).read_text())
    added = next(change.new for change in diff.changes if change.line == "b")
    last = max(change.old or 0 for change in diff.changes)
    print(f"{said} b is line {added}, old lines 1 to {last}")
    try:
        print("  applied:", "|".join(whatthepatch.apply_diff(diff, Path("old").read_text())))
    except whatthepatch.exceptions.HunkApplyException as refused:
        print(f"  HunkApplyException: {refused}")
EOF
{
    env/bin/python read.py
    git apply without.patch
    echo "git apply:    $(paste -sd '|' old)"
} | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
