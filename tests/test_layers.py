"""Who imports whom inside nasrec: in no circle, and from the command line downwards only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import networkx as nx

from tests.test_imports import modules_of

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nasrec"

LAYERS = {"cli": 3, "estimator": 2, "reports": 2, "runs": 1}
"""What stands above the domain, which is everything else (0). A module imports its own layer and those below."""


def imports_of(path: Path, modules: Iterable[str]) -> set[str]:
    """What a file imports when it runs, wherever in it that stands; not what only type checkers read.

    `from package import name` is an import of the module package.name where there is one, else of the package.
    """
    known, found = set(modules), set()
    for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in names}
    return found


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one, except the bodies of `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from _running(other)
        else:
            yield child
            yield from _running(child)


def circles(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """One circle of every group of modules that need each other."""
    graph = nx.DiGraph([(module, other) for module, others in imports.items() for other in others if other in imports])
    groups = [group for group in nx.strongly_connected_components(graph) if len(group) > 1]
    groups += [{module} for module in nx.nodes_with_selfloops(graph)]
    return sorted([start for start, _ in nx.find_cycle(graph.subgraph(group))] for group in groups)


def layer(module: str) -> int:
    return LAYERS.get(module.split(".")[1], 0) if module.startswith("nasrec.") else 0


def offences(module: str, imported: Iterable[str]) -> set[str]:
    """What a module may not import: a higher layer, and below the command line argparse."""
    forbidden = {other for other in imported if layer(other) > layer(module)}
    return forbidden | ({"argparse"} & set(imported) if layer(module) < LAYERS["cli"] else set())


def imports_of_nasrec() -> dict[str, set[str]]:
    modules = modules_of(PACKAGE)
    return {module: imports_of(path, modules) for module, path in modules.items()}


def test_no_circle() -> None:
    imports = imports_of_nasrec()
    assert len(imports) > 200, "most modules of nasrec were not found"
    assert circles(imports) == []


def test_nobody_imports_the_facade() -> None:
    """It is for users; a module that imported it would depend on all of nasrec."""
    assert {module for module, imported in imports_of_nasrec().items() if "nasrec" in imported} == set()


def test_imports_go_from_the_command_line_downwards() -> None:
    """cli -> reports -> runs -> domain, and only the command line knows argparse."""
    found = {module: offences(module, imported) for module, imported in imports_of_nasrec().items()}
    del found["nasrec.__main__"]  # starts the command line
    domain = {module: forbidden for module, forbidden in found.items() if forbidden and layer(module) == 0}
    assert domain == {}
    assert {module for module, forbidden in found.items() if forbidden} == set()


def test_the_rules_see_imports_in_functions_but_not_those_for_types(tmp_path: Path) -> None:
    package = tmp_path / "nasrec"
    files = {
        "__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nasrec.a import A\n",
        "a.py": "def f():\n    from nasrec import b\n",
        "b.py": "import argparse\nclass B:\n    def g(self):\n        from nasrec.c import C\n",
        "c.py": "import typing\nif typing.TYPE_CHECKING:\n    import nasrec.cli\nelse:\n    import nasrec.a\n",
        "cli/__init__.py": "import argparse\nimport nasrec.runs\n",
        "runs/__init__.py": "from nasrec.cli import main\n",
    }
    for name, text in files.items():
        (package / name).parent.mkdir(exist_ok=True, parents=True)
        (package / name).write_text(text)
    modules = modules_of(package)
    assert set(modules) == {"nasrec", "nasrec.a", "nasrec.b", "nasrec.c", "nasrec.cli", "nasrec.runs"}
    imports = {module: imports_of(path, modules) for module, path in modules.items()}
    assert imports["nasrec"] == {"typing"} and imports["nasrec.c"] == {"typing", "nasrec.a"}
    assert [sorted(circle) for circle in circles(imports)] == [
        ["nasrec.a", "nasrec.b", "nasrec.c"],
        ["nasrec.cli", "nasrec.runs"],
    ]
    found = {module: offences(module, imported) for module, imported in imports.items()}
    assert {module: forbidden for module, forbidden in found.items() if forbidden} == {
        "nasrec.b": {"argparse"},
        "nasrec.runs": {"nasrec.cli"},
    }
