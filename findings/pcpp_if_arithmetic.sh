#!/usr/bin/env bash
# Tool: pcpp 1.30 (PyPI), a C99 preprocessor in Python; beside it what the rules of C give (6.10.1: #if computes in intmax_t).
# Guess: #if computes as C does, whose / and % its authors took care of, as Python's own round otherwise.
# Behaviour: / is that of C, but a remainder has the sign of Python's. A constant with the suffix ULL cannot be read: that is an error
#   and status 1, yet the output is written to the end, as if the condition were false.
# Seen:
#   #if                              in C  pcpp   exit status
#   7 % 3 == 1                       yes   yes    0
#   -7 / 2 == -3                     yes   yes    0
#   -7 % 3 == -1                     yes   no     0
#   (0x1000UL >> 12) == 1            yes   yes    0
#   (0x1000ULL >> 12) == 1           yes   no     1
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

python3 -m venv env
env/bin/pip install --quiet --no-deps pcpp==1.30

{
    echo "#if                              in C  pcpp   exit status"
    for condition in "7 % 3 == 1" "-7 / 2 == -3" "-7 % 3 == -1" "(0x1000UL >> 12) == 1" "(0x1000ULL >> 12) == 1"; do
        printf '#if %s\nyes\n#else\nno\n#endif\n' "$condition" > header.h
        status=0
        env/bin/pcpp --line-directive= -o out.h header.h 2> said || status=$?
        printf '%-32s %-5s %-6s %s\n' "$condition" yes "$(tr -d '\n' < out.h)" "$status"
    done
} | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
