#!/usr/bin/env bash
# Tool: libtraceevent 1.7.1 (Debian libtraceevent1 1:1.7.1-1): the filters of `trace-cmd report -F` and of whoever links it.
# Guess: a filter says what the kernel's own event filter says (`trace-cmd record -f`): signed fields compare as signed numbers,
#   && binds before ||, and a field that the event does not have is an error.
# Behaviour: == and != are signed, but <, <=, > and >= are not, so with ret = -12 "ret < 0" drops the record and "ret > 0" keeps
#   it; && and || group from the left; an unknown field is accepted, and reads as a comparison that is false, so its negation
#   keeps everything.
# Seen:
#   of a record with ret = -12         guess   filter
#   ret == -12                         keeps   keeps
#   ret < 0                            keeps   drops
#   ret > 0                            drops   keeps
#   ret == -12 || ret == 1 && ret == 2 keeps   drops
#   no_such_field == 1                 refused drops
#   !(no_such_field == 1)              refused keeps
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

apt-get -qq -o APT::Sandbox::User=root download libtraceevent1=1:1.7.1-1
dpkg -x libtraceevent1_*.deb root

cat > filter.py <<'EOF'
import ctypes as c, struct

tep = c.CDLL("root/usr/lib/x86_64-linux-gnu/libtraceevent.so.1")
tep.tep_alloc.restype = tep.tep_filter_alloc.restype = c.c_void_p
tep.tep_parse_event.argtypes = [c.c_void_p, c.c_char_p, c.c_ulong, c.c_char_p]

class Record(c.Structure):  # struct tep_record
    _fields_ = [("times", c.c_uint64 * 3), ("record_size", c.c_int), ("size", c.c_int), ("data", c.c_void_p), ("rest", c.c_uint64 * 3)]

handle = c.c_void_p(tep.tep_alloc())
shape = b"""name: ended\nID: 7\nformat:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n
\tfield:int ret;\toffset:4;\tsize:4;\tsigned:1;\n
print fmt: "%d", REC->ret\n"""
assert tep.tep_parse_event(handle, shape, len(shape), b"model") == 0
data = struct.pack("<HHi", 7, 0, -12)
record = Record(size=len(data), record_size=len(data), data=c.cast(data, c.c_void_p))
MATCH, MISS = 0, -99971  # TEP_ERRNO__SUCCESS, TEP_ERRNO__FILTER_MISS

print("of a record with ret = -12         guess   filter")
for guess, condition in [
    ("keeps", "ret == -12"), ("keeps", "ret < 0"), ("drops", "ret > 0"), ("keeps", "ret == -12 || ret == 1 && ret == 2"),
    ("refused", "no_such_field == 1"), ("refused", "!(no_such_field == 1)"),
]:
    chosen = c.c_void_p(tep.tep_filter_alloc(handle))
    accepted = tep.tep_filter_add_filter_str(chosen, b"ended: " + condition.encode()) == 0
    said = {MATCH: "keeps", MISS: "drops"}[tep.tep_filter_match(chosen, c.byref(record))] if accepted else "refused"
    print(f"{condition:34} {guess:7} {said}")
EOF
python3 filter.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
