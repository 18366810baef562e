#!/usr/bin/env bash
# Tool: tcc 0.9.27 (Debian tcc 0.9.27+git20200814.62c30a4a-1), the compiler that is quick enough to run at every change of a model.
# Guess: as C has it, what an initializer leaves out is zero, so `struct entry x = { 0 };` is all zero.
# Behaviour: in a local struct of bit fields only the named fields are written: the others keep what the stack held. Wholly zero are
#   {}, a static struct, and a struct of the same fields without widths. (Here a call first fills the stack with ones.)
# Seen:
#   bit fields, = { 0 }            fffffffe
#   bit fields, = { .level = 1 }   ffffffc7
#   bit fields, compound literal   ffffffc7
#   bit fields, = {}               0
#   bit fields, static             0
#   without widths, = { 0 }        0
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

apt-get -qq -o APT::Sandbox::User=root download tcc=0.9.27+git20200814.62c30a4a-1
dpkg -x tcc_*.deb root

cat > zero.c <<'EOF'
struct entry { unsigned valid : 1, write : 1, level : 4, pfn : 26; };
struct plain { unsigned char valid, write, level, pfn; };

void ones(void) { volatile unsigned char all[512]; for (int i = 0; i < 512; i++) all[i] = 0xff; }
unsigned zeros(void)    { struct entry x = { 0 }; return *(unsigned *)&x; }
unsigned named(void)    { struct entry x = { .level = 1 }; return *(unsigned *)&x; }
unsigned literal(void)  { struct entry x = (struct entry){ .level = 1 }; return *(unsigned *)&x; }
unsigned empty(void)    { struct entry x = {}; return *(unsigned *)&x; }
unsigned constant(void) { static struct entry x = { 0 }; return *(unsigned *)&x; }
unsigned unbitted(void) { struct plain x = { 0 }; return *(unsigned *)&x; }
unsigned after_ones(unsigned (*function)(void)) { ones(); return function(); }
EOF
root/usr/bin/tcc -shared -nostdlib -o zero.so zero.c

cat > call.py <<'EOF'
import ctypes

library = ctypes.CDLL("./zero.so")
for said, name in (
    ("bit fields, = { 0 }", "zeros"), ("bit fields, = { .level = 1 }", "named"), ("bit fields, compound literal", "literal"),
    ("bit fields, = {}", "empty"), ("bit fields, static", "constant"), ("without widths, = { 0 }", "unbitted"),
):
    library.after_ones.restype = ctypes.c_uint
    print(f"{said:30} {library.after_ones(getattr(library, name)):x}")
EOF
python3 call.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
