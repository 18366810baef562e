#!/usr/bin/env bash
# Tool: capstone 5.0.9 (PyPI), x86 in 64-bit mode; the same bytes by iced-x86 1.21.0 (PyPI), to show that they are valid.
# Guess: SEAMCALL (66 0f 01 cf) has its name, or, where capstone is older than TDX, ends the disassembly like any unknown byte.
#   Its neighbours TDCALL, SEAMRET and SEAMOPS differ from it in the last two bits only, and fare the same.
# Behaviour: the mandatory prefix 66 is taken for an idle one, and SEAMCALL is called `encls`, an SGX instruction, without a
#   warning. Its neighbours are unknown, because 0f 01 cc to 0f 01 ce name nothing without the prefix either.
# Seen:
#   66 0f 01 cc  capstone -      iced tdcall
#   66 0f 01 cd  capstone -      iced seamret
#   66 0f 01 ce  capstone -      iced seamops
#   66 0f 01 cf  capstone encls  iced seamcall
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

python3 -m venv env
env/bin/pip install --quiet --no-deps capstone==5.0.9 iced-x86==1.21.0

cat > decode.py <<'EOF'
import capstone
import iced_x86

disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
for last in range(0xCC, 0xD0):
    code = bytes([0x66, 0x0F, 0x01, last])
    named = [one.mnemonic for one in disassembler.disasm(code, 0)] or ["-"]
    iced = [str(one) for one in iced_x86.Decoder(64, code)]
    print(f"{code.hex(' ')}  capstone {named[0]:6} iced {iced[0]}")
EOF
env/bin/python decode.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
