"""Graph -> text that Graphviz or Mermaid draw."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from nasrec_ir.draw.caption import HOMES, Caption, captions, clusters
from nasrec_ir.graph import Graph
from nasrec_ir.verify import verify

__all__ = ["dot", "mermaid"]


def dot(graph: Graph) -> str:
    """A graph in the language of Graphviz: one cluster a block, nodes coloured by where hardware would run them.

    What does not reach the output is dashed.

    Raises:
        VerifyError: the graph is malformed.
    """
    verify(graph)
    said, live = captions(graph), graph.live_ids()

    def dead(node_id: str) -> str:
        return "" if node_id in live else ', style="rounded,filled,dashed", fontcolor="#8a949c"'

    def node(node_id: str) -> str:
        caption, style = said[node_id], HOMES[said[node_id].home]
        label = "\\n".join(_dot_text(line) for line in caption.lines)
        tooltip = "\\n".join(_dot_text(line) for line in caption.details)
        return (
            f'"{_dot_text(node_id)}" [label="{label}", fillcolor="{style.fill}", color="{style.stroke}", '
            f'tooltip="{tooltip}"{dead(node_id)}];'
        )

    lines = [
        f'digraph "{_dot_text(graph.name)}" {{',
        '  graph [rankdir=TB, fontname="Helvetica", fontsize=12, nodesep=0.25, ranksep=0.35];',
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=10, margin="0.12,0.06"];',
        '  edge [color="#5f6b76", arrowsize=0.6];',
        *_nested(graph, node, _dot_cluster),
        *(f'  "{_dot_text(operand)}" -> "{_dot_text(n.id)}";' for n in graph for operand in n.inputs),
        "}",
        "",
    ]
    return "\n".join(lines)


def mermaid(graph: Graph) -> str:
    """A graph as a Mermaid flowchart: one subgraph a block, nodes coloured by where hardware would run them.

    What does not reach the output is dashed.

    Raises:
        VerifyError: the graph is malformed.
    """
    verify(graph)
    said, live = captions(graph), graph.live_ids()
    names = {node.id: f"n{index}" for index, node in enumerate(graph)}

    def node(node_id: str) -> str:
        return f"{names[node_id]}{_mermaid_label(said[node_id])}:::{said[node_id].home}"

    lines = [
        "flowchart TD",
        *_nested(graph, node, _mermaid_cluster),
        *(f"  {names[operand]} --> {names[n.id]}" for n in graph for operand in n.inputs),
        *(f"  style {names[n.id]} stroke-dasharray: 4 3" for n in graph if n.id not in live),
        *(f"  classDef {home} fill:{style.fill},stroke:{style.stroke},color:#1c2329" for home, style in HOMES.items()),
        "",
    ]
    return "\n".join(lines)


def _nested(
    graph: Graph, node: Callable[[str], str], cluster: Callable[[int, str, Iterable[str]], list[str]]
) -> Iterable[str]:
    """Statements of all nodes, those of a cluster inside of it, in the order of first appearance."""
    boxes = clusters(graph)
    inside = {node_id: scope for scope, ids in boxes.items() for node_id in ids}
    number = {scope: index for index, scope in enumerate(boxes)}
    for n in graph:
        scope = inside.get(n.id)
        if scope is None:
            yield f"  {node(n.id)}"
        elif boxes[scope][0] == n.id:
            yield from cluster(number[scope], scope, map(node, boxes[scope]))


def _dot_cluster(index: int, scope: str, nodes: Iterable[str]) -> list[str]:
    style = 'style="rounded,filled", color="#c9d0d6", fillcolor="#f6f7f8", fontname="Helvetica-Bold"'
    head = f'    graph [label="{_dot_text(scope)}", labeljust=l, {style}];'
    return [f"  subgraph cluster_{index} {{", head, *(f"    {line}" for line in nodes), "  }"]


def _mermaid_cluster(index: int, scope: str, nodes: Iterable[str]) -> list[str]:
    return [f'  subgraph s{index}["{_mermaid_text(scope)}"]', *(f"    {line}" for line in nodes), "  end"]


def _mermaid_label(caption: Caption) -> str:
    text = "<br/>".join(_mermaid_text(line) for line in caption.lines)
    opening, closing = ("([", "])") if caption.home == "input" else ("[", "]")
    return f'{opening}"{text}"{closing}'


def _dot_text(text: str) -> str:
    """Inside a quoted string; every backslash doubled, so that none starts an escape."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


PLAIN = re.compile(r"[A-Za-z0-9 _.,+()\[\]]")


def _mermaid_text(text: str) -> str:
    """Inside a quoted string: all but plain characters as entities, so that none can end it or start markup."""
    return "".join(char if PLAIN.fullmatch(char) else f"#{ord(char)};" for char in text)
