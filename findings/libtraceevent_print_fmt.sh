#!/usr/bin/env bash
# Tool: libtraceevent 1.7.1 (Debian libtraceevent1 1:1.7.1-1), which turns events into text for trace-cmd and perf.
# Guess: an expression in `print fmt` is the C of the kernel's TP_printk(), so it means here what it means in C.
# Behaviour: a field is zero-extended and compared as an unsigned number of 64 bits, so a call that failed reads as done, and the
#   symbol of -12 is not found; operators of one rank group from the right; ^ of a field gives 0. Nothing warns: the format is
#   accepted, and %d of the field alone is right.
# Seen:
#   of a record with ret = -12 and len = 3  in C    printed
#   REC->ret                                -12     -12
#   REC->ret < 0 ? "failed" : "done"        failed  done
#   REC->ret == -12                         1       0
#   REC->ret / 2                            -6      2147483642
#   __print_symbolic(REC->ret, {-12, "E"})  E       0xfffffff4
#   10 - 3 - 2                              5       9
#   100 / 10 / 5                            2       50
#   REC->len ^ 1                            2       0
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

apt-get -qq -o APT::Sandbox::User=root download libtraceevent1=1:1.7.1-1
dpkg -x libtraceevent1_*.deb root

cat > print.py <<'EOF'
import ctypes as c, struct

tep = c.CDLL("root/usr/lib/x86_64-linux-gnu/libtraceevent.so.1")
tep.tep_alloc.restype = c.c_void_p
tep.tep_parse_event.argtypes = [c.c_void_p, c.c_char_p, c.c_ulong, c.c_char_p]

class Record(c.Structure):  # struct tep_record
    _fields_ = [("times", c.c_uint64 * 3), ("record_size", c.c_int), ("size", c.c_int), ("data", c.c_void_p), ("rest", c.c_uint64 * 3)]

class Text(c.Structure):  # struct trace_seq
    _fields_ = [("buffer", c.c_char_p), ("size", c.c_uint), ("len", c.c_uint), ("read", c.c_uint), ("state", c.c_int)]

fields, offset = "", 0
for kind, size, signed in [("u16 common_type", 2, 0), ("u16 common_rest", 2, 0), ("int common_pid", 4, 1), ("int ret", 4, 1), ("u32 len", 4, 0)]:
    fields += f"\tfield:{kind};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n" + "\n" * (kind == "int common_pid")
    offset += size
data = struct.pack("<HHiiI", 7, 0, 1, -12, 3)
record = Record(size=len(data), record_size=len(data), data=c.cast(data, c.c_void_p))

print("of a record with ret = -12 and len = 3  in C    printed")
for given, expression in [
    ("-12", "REC->ret"), ("failed", 'REC->ret < 0 ? "failed" : "done"'), ("1", "REC->ret == -12"), ("-6", "REC->ret / 2"),
    ("E", '__print_symbolic(REC->ret, {-12, "E"})'), ("5", "10 - 3 - 2"), ("2", "100 / 10 / 5"), ("2", "REC->len ^ 1"),
]:
    shape = f'name: ended\nID: 7\nformat:\n{fields}\nprint fmt: "%{"s" if given.isalpha() else "d"}", {expression}\n'.encode()
    handle, text = c.c_void_p(tep.tep_alloc()), Text()
    assert tep.tep_parse_event(handle, shape, len(shape), b"model") == 0
    tep.trace_seq_init(c.byref(text))
    tep.tep_print_event(handle, c.byref(text), c.byref(record), b"%s", c.c_char_p(b"INFO"))
    print(f"{expression:39} {given:7} {text.buffer[:text.len].decode()}")
EOF
python3 print.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
