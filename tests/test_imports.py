"""No circles of imports: every module can be read, tested and moved without what builds on it.

Imports count wherever they stand: in functions and under TYPE_CHECKING too, which run without an error but bind two
modules to each other all the same. As Python does, importing `a.b.c` runs `a/b/__init__.py` first, so that a package
counts as imported with each of its modules, except by modules inside of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parents[1]
FREE_OF_CIRCLES = ("ir/nasrec_ir", "pim/nasrec_pim")
"""Folders of packages, below the root."""


def modules_of(package: Path) -> dict[str, Path]:
    """The modules of a package by their dotted names."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_names(path: Path, module: str) -> Iterator[str]:
    """What a file imports, as dotted names; the last part may be something inside of a module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def prefixes(name: str) -> list[str]:
    """`a`, `a.b` and `a.b.c` of `a.b.c`."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def import_graph(package: Path) -> nx.DiGraph[str]:
    """An edge from each module of a package to each other one that it imports."""
    modules = modules_of(package)
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(modules)
    for module, path in modules.items():
        for name in imported_names(path, module):
            *packages, last = [known for known in prefixes(name) if known in modules] or [module]
            needed = {last, *packages} - {module, *(own for own in prefixes(module) if own != last)}
            graph.add_edges_from((module, other) for other in sorted(needed))
    return graph


def circles(package: Path) -> list[str]:
    """Of each group of modules that import each other the shortest circle, as `a -> b -> a`."""
    graph = import_graph(package)
    found = []
    for group in nx.strongly_connected_components(graph):
        if len(group) > 1:
            among = graph.subgraph(group)
            paths: list[list[str]] = [nx.shortest_path(among, second, first) for first, second in among.edges]
            shortest = min(paths, key=lambda path: (len(path), path))
            found.append(" -> ".join([*shortest, shortest[0]]))
    return sorted(found)


@pytest.mark.parametrize("package", FREE_OF_CIRCLES)
def test_no_modules_import_each_other(package: str) -> None:
    assert len(import_graph(ROOT / package).edges) > 50, "imports were read"
    found = circles(ROOT / package)
    assert not found, "circles of imports:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"a.py": "from p.b import x", "b.py": "import p.c", "c.py": "import os"},
            [],
            id="none",
        ),
        pytest.param(
            {"a.py": "from p.b import x", "b.py": "import p.c", "c.py": "from p import a"},
            ["p.a -> p.b -> p.c -> p.a"],
            id="three modules",
        ),
        pytest.param(
            {"a.py": "from p.b import x", "b.py": "def f():\n    from p.a import y"},
            ["p.a -> p.b -> p.a"],
            id="in a function",
        ),
        pytest.param(
            {"a.py": "from p.b import x", "b.py": "if TYPE_CHECKING:\n    from p.a import T"},
            ["p.a -> p.b -> p.a"],
            id="for annotations",
        ),
        pytest.param(
            {"a.py": "from .b import x", "b.py": "from . import a"},
            ["p.a -> p.b -> p.a"],
            id="relative",
        ),
        pytest.param(
            {"s/__init__.py": "from p.s.one import x", "s/one.py": "from p.s.two import y", "s/two.py": ""},
            [],
            id="a package of its modules",
        ),
        pytest.param(
            {"s/__init__.py": "from p.s.one import x", "s/one.py": "from p.s import y"},
            ["p.s -> p.s.one -> p.s"],
            id="a module of its package",
        ),
        pytest.param(
            {
                "a.py": "from p.s.two import x",
                "s/__init__.py": "import p.s.one",
                "s/one.py": "import p.a",
                "s/two.py": "",
            },
            ["p.a -> p.s -> p.s.one -> p.a"],
            id="through a package's __init__",
        ),
        pytest.param(
            {"a.py": "import p.b", "b.py": "import p.a", "c.py": "import p.d", "d.py": "import p.c\nimport p.a"},
            ["p.a -> p.b -> p.a", "p.c -> p.d -> p.c"],
            id="two circles",
        ),
    ],
)
def test_a_circle_is_found_and_named(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    for name, text in {"__init__.py": "", **files}.items():
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert circles(tmp_path / "p") == expected
