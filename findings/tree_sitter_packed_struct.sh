#!/usr/bin/env bash
# Tool: tree-sitter 0.26.1 with tree-sitter-c 0.24.2 (PyPI), without a preprocessor, as editors and reviewers' tools read a kernel.
# Guess: an unknown attribute macro between `struct` and its tag is either skipped or an ERROR node, so has_error tells where the tree
#   is not to be trusted.
# Behaviour: without any error the struct is a *function*: `__packed` becomes the tag of the type it returns, its own tag the name of
#   a function without parameters, its members local variables. A bit field, or an enum, does make an error.
# Seen:
#   struct pamt { u64 owner; };                      has_error False  struct_specifier    struct pamt
#   struct __packed pamt { u64 owner; };             has_error False  function_definition function pamt
#   struct __randomize_layout pamt { u64 owner; };   has_error False  function_definition function pamt
#   struct __attribute__((packed)) pamt { u64 o; };  has_error False  struct_specifier    struct pamt
#   struct __packed pamt { u64 owner : 40; };        has_error True   function_definition function pamt
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

python3 -m venv env
env/bin/pip install --quiet --no-deps tree-sitter==0.26.1 tree-sitter-c==0.24.2

cat > read.py <<'EOF'
import tree_sitter
import tree_sitter_c

parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))
for text in (
    "struct pamt { u64 owner; };",
    "struct __packed pamt { u64 owner; };",
    "struct __randomize_layout pamt { u64 owner; };",
    "struct __attribute__((packed)) pamt { u64 o; };",
    "struct __packed pamt { u64 owner : 40; };",
):
    root = parser.parse(text.encode()).root_node
    first = root.children[0]
    function = first.child_by_field_name("declarator")
    named = first.child_by_field_name("name") or function
    print(f"{text:48} has_error {root.has_error!s:5}  {first.type:19} {'function' if function else 'struct'} {named.text.decode()}")
EOF
env/bin/python read.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
