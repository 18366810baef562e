#!/usr/bin/env bash
# Tool: ctypes of CPython 3.11.2 (Debian python3.11-minimal 3.11.2-6+deb12u8).
# Guess: a Structure is a class like any other, so with its module it is collected once nothing outside refers to it. Known for
#   being kept are POINTER(S) and CFUNCTYPE(..., S), whose caches hold their types; `S * 2` is held by weak reference only.
# Behaviour: the cache of array types has the element type in its key, by strong reference, for as long as the array type lives.
#   Where the element type refers to the array type, if only as a global of the module in which one of its methods is, the two
#   keep each other, and the module, and all its data, for good.
# Seen:
#   S                                  collected
#   S, and S * 2 that nobody keeps     collected
#   S, with S.Pair = S * 2             kept
#   module with S and its method       collected
#   module with S, method and S * 2    kept
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

for package in python3.11-minimal libpython3.11-minimal libpython3.11-stdlib; do
    apt-get -qq -o APT::Sandbox::User=root download "$package=3.11.2-6+deb12u8"
done
apt-get -qq -o APT::Sandbox::User=root download libffi8=3.4.4-1
for package in *.deb; do dpkg -x "$package" root; done

cat > keep.py <<'EOF'
import ctypes
import gc
import types
import weakref

SOURCE = """
import ctypes
class S(ctypes.Structure):
    _fields_ = [("word", ctypes.c_uint64)]
"""
METHOD = "    def read(self): return self.word\n"

def fate(source: str) -> str:
    module = types.ModuleType("model")
    exec(source, module.__dict__)
    last = weakref.ref(module.S)
    del module
    for _ in range(3):
        gc.collect()
    return "kept" if last() else "collected"

for said, source in (
    ("S", SOURCE),
    ("S, and S * 2 that nobody keeps", SOURCE + "S * 2\n"),
    ("S, with S.Pair = S * 2", SOURCE + "S.Pair = S * 2\n"),
    ("module with S and its method", SOURCE + METHOD),
    ("module with S, method and S * 2", SOURCE + METHOD + "Pair = S * 2\n"),
):
    print(f"{said:34} {fate(source)}")
EOF
PYTHONHOME=root/usr LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/python3.11 keep.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
