"""Every op has an entry in every table that needs one, and CONTRIBUTING.md lists the files of an op."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.kernels.operations import FAMILIES
from tests.op_tables import ROOT, Tables, missing


def test_nothing_is_missing() -> None:
    assert "\n".join(missing(Tables())) == ""


def without(table: str, key: str) -> Callable[[Tables], Tables]:
    """The tables with one entry less."""

    def change(tables: Tables) -> Tables:
        old = getattr(tables, table)
        assert key in old, f"{key} is not in {table} at all"
        left = old - {key} if isinstance(old, frozenset) else {name: old[name] for name in old if name != key}
        return replace(tables, **{table: left})

    return change


def within(table: str, outer: str, change: Callable[[Any], Any]) -> Callable[[Tables], Tables]:
    """The tables with one entry of one of them changed."""

    def changed(tables: Tables) -> Tables:
        old: Mapping[str, Any] = getattr(tables, table)
        return replace(tables, **{table: {**old, outer: change(old[outer])}})

    return changed


def operator(name: str, **changes: Any) -> Callable[[Tables], Tables]:
    """The tables with a compiled operator registered otherwise."""

    def changed(tables: Tables) -> Tables:
        compiled = {
            operation: tuple(replace(one, **changes) if one.name == name else one for one in operators)
            for operation, operators in tables.compiled.items()
        }
        return replace(tables, compiled=compiled)

    return changed


def dropped(key: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda table: {name: value for name, value in table.items() if name != key}


FM = "factorization_machine"
CASES: list[tuple[Callable[[Tables], Tables], str]] = [
    (without("evaluate", "relu"), "op relu has no function in EVALUATE: ir/nasrec_ir/interpret.py"),
    (without("emit", "linear"), "op linear has parameters, and no emitter in EMIT: ir/nasrec_ir/codegen.py"),
    (without("emit", "scale"), "op scale has neither an emitter in EMIT: .* nor a kernel of its name"),
    (without("execute", "scale"), "op scale has neither a function in EXECUTE: .* nor a kernel of its name"),
    (without("work", "sum"), "op sum is digital, and has no arithmetic in RULES: pim/nasrec_pim/mapping/work.py"),
    (without("coupling", "add"), "op add has a rule in RULES: .*/remove.py, and none in RULES: .*/coupling.py"),
    (without("removal", "add"), "op add has a rule in RULES: .*/coupling.py, and none in RULES: .*/remove.py"),
    (without("good", "pad"), "op pad has no row in GOOD: tests/ir/test_ops.py"),
    (without("bad", "pad"), "op pad has no row in BAD: tests/ir/test_ops.py"),
    (without("ops", "dropout"), "dropout is no op, but stands in EVALUATE: ir/nasrec_ir/interpret.py"),
    (without("faces", FM), f"operation {FM} is not among those of nasrec/kernels/__init__.py"),
    (without("references", FM), f"operation {FM} has no reference: nasrec/kernels/reference.py"),
    (without("calls", FM), f"operation {FM} has no call in CALLS: tests/kernels/operations.py"),
    (lambda t: replace(t, documented=""), f"compiled operation {FM} is not shown: docs/kernels.md"),
    (without("schemas", "adagrad_"), "operator adagrad_ has no schema: csrc/library.cpp"),
    (without("compiled", FM), f"operator {FM} has a schema in csrc/library.cpp, and no module of nasrec/kernels"),
    (
        within("implemented", "cpu", dropped("linear_backward")),
        "operator linear_backward has no CPU implementation: csrc/cpu/linear.cpp",
    ),
    (
        within("implemented", "cuda", dropped("find_wrong_id")),
        "operator find_wrong_id has no CUDA implementation: csrc/cuda/embedding.cpp",
    ),
    (
        within("implemented", "cuda", lambda found: {**found, "fm": FM}),
        f"operator fm is implemented in csrc/cuda/{FM}.cpp, and has no schema",
    ),
    (operator(FM, fake=None), f"operator {FM} has no fake kernel: nasrec/kernels/{FM}.py"),
    (operator(f"{FM}_backward", backward=None), f"operator {FM}_backward has no autograd: nasrec/kernels/{FM}.py"),
    (
        within("contracts", FM, dropped("test_opcheck")),
        f"operator {FM} has no opcheck: test_opcheck of tests/kernels/test_{FM}.py",
    ),
    (
        within("contracts", FM, dropped("check_kernels")),
        f"operation {FM} has no check_kernels: tests/kernels/test_{FM}.py",
    ),
]


@pytest.mark.parametrize(("change", "message"), CASES, ids=[message[:60] for _, message in CASES])
def test_what_is_missing_is_named(change: Callable[[Tables], Tables], message: str) -> None:
    found = missing(change(Tables()))
    assert any(re.match(message, line) for line in found), "\n".join(found)


# CONTRIBUTING.md ------------------------------------------------------------------------------------------------

LISTED = re.compile(r"^\| `(\S+)` \|", re.MULTILINE)


def listed(heading: str) -> list[str]:
    """The files or folders in the tables below a heading of CONTRIBUTING.md, down to the next of its level."""
    level = heading.split(" ")[0]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"{heading}\n" in text
    section = re.split(rf"^#{{1,{len(level)}}} ", text.split(f"{heading}\n")[1], flags=re.MULTILINE)[0]
    return LISTED.findall(section)


def test_listed_files_of_an_op_exist() -> None:
    files = listed("### An op of the graph")
    assert len(files) > 8 and [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_listed_files_of_a_family_exist(family: str) -> None:
    files = [file.replace("FAMILY", family) for file in listed("### Compiled kernels for it")]
    assert len(files) > 8 and [file for file in files if not (ROOT / file).exists()] == []


def test_every_file_that_a_message_names_is_listed() -> None:
    """Who reads the list finds all that the test could ask for."""
    files = {file.replace("FAMILY", family) for file in listed("## Add an op") for family in FAMILIES}
    for change, _ in CASES:
        for line in missing(change(Tables())):
            assert set(re.findall(r"[\w/]+/\w+\.\w+", line)) <= files, line


def test_layout_lists_every_folder_of_sources() -> None:
    folders = listed("## Layout")
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
    for top in ("csrc", "ir/nasrec_ir", "pim/nasrec_pim"):
        found = {
            f"{path.parent.relative_to(ROOT)}/"
            for path in (ROOT / top).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert found == {folder for folder in folders if folder.startswith(f"{top}/")}
