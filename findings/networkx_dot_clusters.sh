#!/usr/bin/env bash
# Tools: networkx 3.6.1 with pydot 4.0.1 and pyparsing 3.2.5 (PyPI), which read graphs of states in dot.
# Guess: networkx has no clusters, so read_dot takes the box around a cluster away and keeps its nodes and edges.
# Behaviour: what is written within a subgraph is dropped, edges and all, without a warning: the graph that is left is smaller, and
#   may say that a state cannot be reached. In the shape a -> { b c } the same braces are read.
# Seen:
#   start -> a; a -> b; b -> end                         edges 3  end reachable from start: True
#   start -> a; subgraph cluster_0 { a -> b } b -> end   edges 2  end reachable from start: False
#   start -> a; { rank=same; a -> b } b -> end           edges 2  end reachable from start: False
#   start -> { a b }; b -> end                           edges 3  end reachable from start: True
set -eu
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n '/^# Seen:/,/^set/ s/^#   //p' "$script" > expected

python3 -m venv env
env/bin/pip install --quiet --no-deps networkx==3.6.1 pydot==4.0.1 pyparsing==3.2.5

cat > reach.py <<'EOF'
from io import StringIO

import networkx

for body in (
    "start -> a; a -> b; b -> end",
    "start -> a; subgraph cluster_0 { a -> b } b -> end",
    "start -> a; { rank=same; a -> b } b -> end",
    "start -> { a b }; b -> end",
):
    graph = networkx.nx_pydot.read_dot(StringIO(f"digraph {{ {body} }}"))
    print(f"{body:52} edges {graph.number_of_edges()}  end reachable from start: {networkx.has_path(graph, 'start', 'end')}")
EOF
env/bin/python reach.py | tee seen
diff -u expected seen || { echo "$script: the behaviour has changed" >&2; exit 1; }
