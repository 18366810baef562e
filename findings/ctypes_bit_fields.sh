#!/usr/bin/env bash
# Tools: ctypes of CPython 3.11.2 (Debian python3.11-minimal 3.11.2-6+deb12u8), beside clang, as zig cc of ziglang 0.17.0 (PyPI).
# Guess: bit fields of a ctypes.Structure lie where the compilers of the platform put them, that being what ctypes is for; what
#   cannot be laid out so is refused. (gcc lays all of these out as clang does.)
# Behaviour: where the declared types differ in width it may be neither. A field of a narrower type after a wider one is laid into bits
#   that its type does not reach: what is stored there is lost, and reads as 0. A wide one after a byte begins a new word.
# Seen:
#                             clang: size, b all ones     ctypes: size, b all ones, read back
#   u64 a : 40, u64 b : 24    8 0000000000ffffff          8 0000000000ffffff ffffff
#   u16 a : 9, u8 b : 7       2 00fe                      2 0000 0
#   u64 a : 33, u8 b : 7      8 00000000fe000000          8 00000000000000fe 7f
#   u8 a : 8, u64 b : 56      8 00ffffffffffffff          8 00ffffffffffffff ffffffffffffff
#   u8 a, u64 b : 56          8 00ffffffffffffff          16 0000000000000000ffffffffffffff00 ffffffffffffff
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
python3 -m venv env
env/bin/pip install --quiet --no-deps ziglang==0.17.0
export ZIG_GLOBAL_CACHE_DIR="$folder/cache" ZIG_LOCAL_CACHE_DIR="$folder/cache"

cat > layout.c <<'EOF'
#include <stdio.h>
#include <string.h>
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned long long u64;
#define SHOW(one, two) { struct { one; two; } x; memset(&x, 0, sizeof(x)); x.b = ~0; printf("%zu ", sizeof(x)); \
	for (size_t i = 0; i < sizeof(x); i++) printf("%02x", ((u8 *)&x)[i]); puts(""); }
int main(void)
{
	SHOW(u64 a : 40, u64 b : 24) SHOW(u16 a : 9, u8 b : 7) SHOW(u64 a : 33, u8 b : 7) SHOW(u8 a : 8, u64 b : 56) SHOW(u8 a, u64 b : 56)
	return 0;
}
EOF
env/bin/python -m ziglang cc -w -target x86_64-linux-gnu -o layout layout.c
./layout > by_clang

cat > layout.py <<'EOF'
from ctypes import Structure, c_uint8, c_uint16, c_uint64, sizeof

print("                          clang: size, b all ones     ctypes: size, b all ones, read back")
for line, said, a, b in zip(open("by_clang"), (
    "u64 a : 40, u64 b : 24", "u16 a : 9, u8 b : 7", "u64 a : 33, u8 b : 7", "u8 a : 8, u64 b : 56", "u8 a, u64 b : 56",
), ((c_uint64, 40), (c_uint16, 9), (c_uint64, 33), (c_uint8, 8), (c_uint8,)),
   ((c_uint64, 24), (c_uint8, 7), (c_uint8, 7), (c_uint64, 56), (c_uint64, 56))):
    layout = type("layout", (Structure,), {"_fields_": [("a", *a), ("b", *b)]})
    x = layout(b=(1 << b[1]) - 1)
    print(f"{said:25} {line.strip():27} {sizeof(x)} {bytes(x).hex()} {x.b:x}")
EOF
PYTHONHOME=root/usr LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/python3.11 layout.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
