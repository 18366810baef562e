#!/usr/bin/env bash
# Tool: sparse 0.6.4 (Debian sparse 0.6.4-3), the checker of `make C=1`, of C without headers.
# Guess: as sparse(1) has it, the expression in context(lock, in, out) is the lock that must have the value `in` at the call, and a
#   release without an acquisition takes a context below zero; so each function but the last is warned about.
# Behaviour: the expression is ignored and all locks share one counter, of which only the value at the end of a function counts, or
#   where paths meet. What leaves it at 0 passes: lock a and unlock b, lock a twice, a function that needs a and is called without.
# Seen:
#   only forgets_a
#     warning: context imbalance in 'forgets_a' - wrong count at exit
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

apt-get -qq -o APT::Sandbox::User=root download sparse=0.6.4-3
dpkg -x sparse_*.deb root

cat > locks.c <<'EOF'
struct lock { int held; };
extern struct lock a, b;
extern void lock_a(void) __attribute__((context(a, 0, 1)));
extern void unlock_a(void) __attribute__((context(a, 1, 0)));
extern void unlock_b(void) __attribute__((context(b, 1, 0)));
extern void needs_a(void) __attribute__((context(a, 1, 1)));

static void locks_a_unlocks_b(void) { lock_a(); unlock_b(); }
static void locks_a_twice(void)     { lock_a(); lock_a(); unlock_a(); unlock_a(); }
static void unlocks_first(void)     { unlock_a(); lock_a(); }
static void calls_without_a(void)   { needs_a(); }
static void forgets_a(void)         { lock_a(); }
static void keeps_to_it(void)       { lock_a(); needs_a(); unlock_a(); }
EOF
root/usr/bin/sparse -Wcontext locks.c 2>&1 | sed 's/^locks.c:[0-9:]*/ /' | sed '1i only forgets_a' | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
