#!/usr/bin/env bash
# Tools: gcc 12.2 (Debian cpp-12 12.2.0-14+deb12u1, its cc1), tcc 0.9.27 (Debian 0.9.27+git20200814.62c30a4a-1), and clang, as zig cc of
#   ziglang 0.17.0 (PyPI), on the same C, with unsigned fields as page table entries have.
# Guess: a bit field of 40 bits declared u64 is a u64 where it is read, so x.pfn << 12 is an address: all compilers follow one ABI.
# Behaviour: they agree where the bits lie, and not on what is computed. To gcc the field has a type of its own of 40 bits, no integer
#   promotion makes it wider, and all arithmetic is modulo 2^40: the address loses its upper 12 bits. clang and tcc give a u64.
# Seen:
#                pfn << 12         pfn + 1 == 0  ~zero == ~0ull
#   gcc          fffffff000        1             0
#   clang (zig)  ffffffffff000     0             1
#   tcc          ffffffffff000     0             1
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

apt-get -qq -o APT::Sandbox::User=root download cpp-12=12.2.0-14+deb12u1 libgmp10=2:6.2.1+dfsg1-1.1 libisl23=0.25-1.1 \
    libmpc3=1.3.1-1 libmpfr6=4.2.0-1 libzstd1=1.5.4+dfsg2-5+deb12u1 zlib1g=1:1.2.13.dfsg-1 tcc=0.9.27+git20200814.62c30a4a-1
for package in *.deb; do dpkg -x "$package" root; done
python3 -m venv env
env/bin/pip install --quiet --no-deps ziglang==0.17.0
export ZIG_GLOBAL_CACHE_DIR="$folder/cache" ZIG_LOCAL_CACHE_DIR="$folder/cache"
zig_cc() { env/bin/python -m ziglang cc -target x86_64-linux-gnu "$@"; }

cat > entry.c <<'EOF'
struct entry { unsigned long long pfn : 40, flags : 24; };

unsigned long long address(struct entry *x) { return x->pfn << 12; }
int wraps(struct entry *x)                  { return x->pfn + 1 == 0; }
int is_wide(struct entry *zero)             { return ~zero->pfn == ~0ull; }
EOF
cat > main.c <<'EOF'
#include <stdio.h>
struct entry { unsigned long long pfn : 40, flags : 24; } full = { .pfn = ~0ull }, zero;
unsigned long long address(struct entry *);
int wraps(struct entry *), is_wide(struct entry *);
int main(void) { printf("%-17llx %-13d %d\n", address(&full), wraps(&full), is_wide(&zero)); return 0; }
EOF
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu:root/lib/x86_64-linux-gnu \
    root/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -O1 -o gcc.s entry.c
root/usr/bin/tcc -c -o tcc.o entry.c
{
    echo "             pfn << 12         pfn + 1 == 0  ~zero == ~0ull"
    zig_cc -w -o of_gcc main.c gcc.s && echo "gcc          $(./of_gcc)"
    zig_cc -w -O1 -o of_clang main.c entry.c && echo "clang (zig)  $(./of_clang)"
    zig_cc -w -o of_tcc main.c tcc.o && echo "tcc          $(./of_tcc)"
} | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
