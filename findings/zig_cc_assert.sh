#!/usr/bin/env bash
# Tool: `zig cc` of ziglang 0.17.0 (PyPI), a C compiler that pip can install.
# Guess: zig cc is clang with libraries. As with clang and gcc, -O changes how fast a program is, and assert() goes only with -DNDEBUG.
# Behaviour: each of -O1, -O2, -O3 and -Os stands for a release mode of Zig, which defines NDEBUG: every assert() is gone, with what
#   its argument does. -Og keeps it. -UNDEBUG on the command line wins.
# Seen:
#   -O0: evaluated
#   -Og: evaluated
#   -O1: gone
#   -O2: gone
#   -O3: gone
#   -Os: gone
#   -O1 -UNDEBUG: evaluated
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

python3 -m venv env
env/bin/pip install --quiet --no-deps ziglang==0.17.0
export ZIG_GLOBAL_CACHE_DIR="$folder/cache" ZIG_LOCAL_CACHE_DIR="$folder/cache"

cat > counted.c <<'EOF'
#include <assert.h>
#include <stdio.h>

int main(void)
{
	int evaluated = 0;

	assert(++evaluated);
	puts(evaluated ? "evaluated" : "gone");
	return 0;
}
EOF
for flags in -O0 -Og -O1 -O2 -O3 -Os "-O1 -UNDEBUG"; do
    # shellcheck disable=SC2086  # two flags are two words
    env/bin/python -m ziglang cc $flags -o counted counted.c
    echo "$flags: $(./counted)"
done | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
