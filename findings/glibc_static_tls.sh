#!/usr/bin/env bash
# Tool: dlopen() and dlclose() of glibc 2.36 (and of others since 2.26), libraries built by `zig cc` of ziglang 0.17.0 (PyPI).
# Guess: a process loads as many libraries as memory holds. Where each has one pointer of a thread's own that is reached the quick way,
#   tls_model("initial-exec"), a limit may exist, but who closes half of the libraries has room for as many others.
# Behaviour: such variables live in a block beside each thread's, which has some 1,700 bytes to spare for libraries that come later; the
#   library after that is refused. dlclose() gives room back only at the block's end: of the half loaded last, closed in the order of
#   loading, the room of one comes back; closed in reverse, that of all; of the half loaded first, none, in any order.
# Seen:
#   libraries loaded: more than 100, fewer than 400
#   the next: cannot allocate memory in static TLS block
#   last half closed, as loaded: room for 1
#   last half closed, in reverse: room for all
#   first half closed, as loaded: room for 0
#   first half closed, in reverse: room for 0
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ziglang==0.17.0
cat > one.c <<'C'
static __thread void *mine __attribute__((tls_model("initial-exec")));
void *get(void) { return mine; }
void set(void *to) { mine = to; }
C
export ZIG_GLOBAL_CACHE_DIR="$folder/cache" ZIG_LOCAL_CACHE_DIR="$folder/cache"
venv/bin/python -m ziglang cc -O2 -fPIC -shared -o one.so one.c
cat > load.py <<'PY'
import _ctypes
import ctypes
import shutil
import sys

MANY = 400


def fill(name):
    """The handles of copies that were loaded, and what was said of the one that was not."""
    handles = []
    for number in range(MANY):
        path = shutil.copy("one.so", f"./{name}{number}.so")
        try:
            handles.append(ctypes.CDLL(path)._handle)
        except OSError as error:
            return handles, str(error).partition(": ")[2]
    return handles, "loaded too"


half, order = sys.argv[1:]
loaded, said = fill("a")
if (half, order) == ("last", "as loaded"):
    print("libraries loaded: " + ("more than 100, fewer than 400" if 100 < len(loaded) < MANY else str(len(loaded))))
    print(f"the next: {said}")
middle = len(loaded) // 2
closed = loaded[:middle] if half == "first" else loaded[middle:]
for handle in reversed(closed) if order == "in reverse" else closed:
    _ctypes.dlclose(handle)
room = len(fill("b")[0])
print(f"{half} half closed, {order}: room for {'all' if room == len(closed) else room}")
PY
for half in last first; do
  for order in "as loaded" "in reverse"; do venv/bin/python load.py "$half" "$order"; done
done | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
