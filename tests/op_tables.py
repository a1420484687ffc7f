"""Every table that has an entry for an op, an operation or a compiled operator, and what is missing in them."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nasrec import executor, kernels
from nasrec.kernels import reference, reference_adagrad
from nasrec.kernels.dispatch import COMPILED, DEVICES, Operator
from nasrec_ir import codegen
from nasrec_ir.ops import OPS
from nasrec_ir.ops.table import Op
from nasrec_ir.passes import elide_zeros
from nasrec_pim.mapping import work
from tests.ir import test_ops
from tests.kernels import operations

__all__ = ["ROOT", "Tables", "file_of", "missing"]

ROOT = Path(__file__).resolve().parents[1]
interpret, coupling, remove = map(
    importlib.import_module, ("nasrec_ir.interpret", "nasrec_ir.pruning.coupling", "nasrec_ir.pruning.remove")
)

SCHEMA = re.compile(r'm\.def\(\s*"(\w+)\(')
LIBRARY = re.compile(r"STABLE_TORCH_LIBRARY_IMPL\(nasrec, (\w+), m\) \{(.*?)\}", re.DOTALL)
IMPLEMENTED = re.compile(r'm\.impl\("(\w+)"')
NO_PARAMETERS = next(one.default for one in fields(Op) if one.name == "params")


def csrc(path: str) -> str:
    """The text of a source file."""
    return (ROOT / "csrc" / path).read_text(encoding="utf-8")


def implemented(device: str) -> dict[str, str]:
    """Operators that are given a kernel for a device in its folder, and the family of the file where that is."""
    return {
        operator: path.stem.removesuffix("_backward")
        for path in sorted((ROOT / "csrc" / device).glob("*.cpp"))
        for key, body in LIBRARY.findall(path.read_text(encoding="utf-8"))
        if key == device.upper()
        for operator in IMPLEMENTED.findall(body)
    }


def contract(family: str) -> dict[str, str]:
    """The source of what a family's tests must have, by name."""
    if not (ROOT / "tests" / "kernels" / f"test_{family}.py").exists():
        return {}
    tests = importlib.import_module(f"tests.kernels.test_{family}")
    return {name: inspect.getsource(getattr(tests, name)) for name in CONTRACT if hasattr(tests, name)}


CONTRACT = ("test_opcheck", "check_kernels")


@dataclass(frozen=True)
class Tables:
    """All tables, by default as they are.

    Of the op table: `ops` itself, `evaluate` to `removal` in the packages, `good` and `bad` of its tests. Of the
    operations of `nasrec.kernels`: `faces`, `references`, and `calls` of the tests. Of the compiled ones: `compiled`,
    `schemas`, who is implemented on which device, what tests they have, and what the documents show.
    """

    ops: Mapping[str, Op] = field(default_factory=lambda: OPS)
    evaluate: Mapping[str, Any] = field(default_factory=lambda: interpret.EVALUATE)
    emit: Mapping[str, Any] = field(default_factory=lambda: codegen.EMIT)
    execute: Mapping[str, Any] = field(default_factory=lambda: executor.EXECUTE)
    work: Mapping[str, Any] = field(default_factory=lambda: work.RULES)
    zeros: Mapping[str, Any] = field(default_factory=lambda: elide_zeros.RULES)
    coupling: Mapping[str, Any] = field(default_factory=lambda: coupling.RULES)
    removal: Mapping[str, Any] = field(default_factory=lambda: remove.RULES)
    good: frozenset[str] = field(default_factory=lambda: frozenset(row[0] for row in test_ops.GOOD))
    bad: frozenset[str] = field(default_factory=lambda: frozenset(row[0] for row in test_ops.BAD))
    faces: frozenset[str] = field(default_factory=lambda: frozenset(kernels.__all__) - {"use_reference"})
    references: frozenset[str] = frozenset({*reference.__all__, *reference_adagrad.__all__})
    calls: Mapping[str, Any] = field(default_factory=lambda: operations.CALLS)
    compiled: Mapping[str, tuple[Operator, ...]] = field(default_factory=lambda: COMPILED)
    schemas: frozenset[str] = field(default_factory=lambda: frozenset(SCHEMA.findall(csrc("library.cpp"))))
    implemented: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: {device: implemented(device) for device in DEVICES}
    )
    contracts: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: {family: contract(family) for family in operations.FAMILIES}
    )
    documented: str = field(default_factory=lambda: (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8"))


def missing(tables: Tables) -> list[str]:
    """What an op, an operation or an operator lacks, and what is left of one that is gone; one line each."""
    return [*_of_ops(tables), *_of_operations(tables), *_of_operators(tables), *_left_over(tables)]


def file_of(module: Any) -> str:
    """Where a module's source is, from the root of the repository."""
    return str(Path(module.__file__).relative_to(ROOT))


EVALUATE = f"EVALUATE: {file_of(interpret)}"
EMIT = f"EMIT: {file_of(codegen)}"
EXECUTE = f"EXECUTE: {file_of(executor)}"
WORK = f"RULES: {file_of(work)}"
COUPLING, REMOVAL = f"RULES: {file_of(coupling)}", f"RULES: {file_of(remove)}"
FACES, REFERENCE = file_of(kernels), file_of(reference)


def _of_ops(t: Tables) -> Iterator[str]:
    """`zeros` needs no function where graphs are run, since who runs one knows the batch; executable graphs hold no
    `mask`; a fused op is interpreted by its expansion."""
    for name, op in t.ops.items():
        if name not in t.evaluate and name != "zeros" and op.expand is None:
            yield f"op {name} has no function in {EVALUATE}"
        if name not in t.emit and name != "mask":
            if op.params is not NO_PARAMETERS:
                yield f"op {name} has parameters, and no emitter in {EMIT}"
            elif name not in t.faces:
                yield f"op {name} has neither an emitter in {EMIT} nor a kernel of its name in {FACES}"
        if name not in t.execute and name not in ("mask", "zeros"):
            yield f"op {name} has neither a function in {EXECUTE} nor a kernel of its name in {FACES}"
        if op.home == "digital" and name not in t.work:
            yield f"op {name} is digital, and has no arithmetic in {WORK}"
        if (name in t.coupling) != (name in t.removal):
            has, lacks = (COUPLING, REMOVAL) if name in t.coupling else (REMOVAL, COUPLING)
            yield f"op {name} has a rule in {has}, and none in {lacks}"
        for kind, rows in (("GOOD", t.good), ("BAD", t.bad)):
            if name not in rows:
                yield f"op {name} has no row in {kind}: {file_of(test_ops)}"


def _of_operations(t: Tables) -> Iterator[str]:
    for name in sorted(t.faces | t.references | set(t.compiled)):
        if name not in t.faces:
            yield f"operation {name} is not among those of {FACES}"
        if name not in t.references:
            yield f"operation {name} has no reference: {REFERENCE}"
        if name not in t.calls and not _in_place(name):
            yield f"operation {name} has no call in CALLS: {file_of(operations)}"
        if name in t.compiled and f"`{name}`" not in t.documented:
            yield f"compiled operation {name} is not shown: docs/kernels.md"


def _of_operators(t: Tables) -> Iterator[str]:
    for operation, operators in t.compiled.items():
        family = operations.family_of(operation)
        module = f"{Path(FACES).parent}/{family}.py"
        for operator in operators:
            name = operator.name
            if name not in t.schemas:
                yield f"operator {name} has no schema: csrc/library.cpp"
            for device in operator.devices:
                if t.implemented[device].get(name) != family:
                    yield f"operator {name} has no {device.upper()} implementation: csrc/{device}/{family}.cpp"
            if not callable(operator.fake):
                yield f"operator {name} has no fake kernel: {module}"
            if operator.backward is None and _is_differentiated(operation, name):
                yield f"operator {name} has no autograd: {module}"
            if "cpu" in operator.devices and not re.search(rf"\b{name}\b", t.contracts[family].get("test_opcheck", "")):
                yield f"operator {name} has no opcheck: test_opcheck of tests/kernels/test_{family}.py"
        if "check_kernels" not in t.contracts[family]:
            yield f"operation {operation} has no check_kernels: tests/kernels/test_{family}.py"


def _left_over(t: Tables) -> Iterator[str]:
    for where, table in (
        (EVALUATE, t.evaluate),
        (EMIT, t.emit),
        (EXECUTE, t.execute),
        (WORK, t.work),
        (f"RULES: {file_of(elide_zeros)}", t.zeros),
        (COUPLING, t.coupling),
        (REMOVAL, t.removal),
    ):
        for name in sorted(set(table) - set(t.ops) - {"input"}):
            yield f"{name} is no op, but stands in {where}"
    known = {operator.name for operators in t.compiled.values() for operator in operators}
    for name in sorted(t.schemas - known):
        yield f"operator {name} has a schema in csrc/library.cpp, and no module of {Path(FACES).parent} registers it"
    for device, found in t.implemented.items():
        for name in sorted(set(found) - t.schemas):
            yield f"operator {name} is implemented in csrc/{device}/{found[name]}.cpp, and has no schema"
    for name in sorted(set(t.calls) - t.faces):
        yield f"{name} is no operation, but stands in CALLS: {file_of(operations)}"


def _in_place(operation: str) -> bool:
    """Whether an operation changes its operands and gives nothing back."""
    return operation.endswith("_")


def _is_differentiated(operation: str, operator: str) -> bool:
    """Results have gradients, and gradients have gradients; other operators serve these two."""
    return not _in_place(operation) and operator in (operation, f"{operation}_backward")
