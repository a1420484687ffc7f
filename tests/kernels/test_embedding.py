"""The compiled table lookup against `torch.nn.functional.embedding`, on every device, type and instruction set."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from nasrec import kernels
from nasrec.errors import FeatureError, KernelError
from nasrec.kernels import extension, reference

needs_extension = pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")

# Sums of a few hundred numbers of size 1; bfloat16 is rounded once.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-13, torch.bfloat16: 2.0**-8}
TYPES = list(TOLERANCE)


def draw_tables(
    rows: Sequence[int], channels: int, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(rows) + channels)
    return [torch.randn(count, channels, generator=generator).to(device, dtype) for count in rows]


def draw_ids(rows: Sequence[int], batch: int, *, device: str = "cpu", skewed: bool = False) -> Tensor:
    """Ids of all tables; skewed: most are the smallest few, as in click logs."""
    generator = torch.Generator().manual_seed(batch)
    share = torch.rand(batch, len(rows), generator=generator)
    return ((share**6 if skewed else share) * torch.tensor(rows)).long().to(device)


def definition(ids: Tensor, tables: Sequence[Tensor]) -> Tensor:
    return torch.stack([functional.embedding(ids[:, j], table) for j, table in enumerate(tables)], dim=1)


def check_values_and_gradients(ids: Tensor, tables: Sequence[Tensor]) -> None:
    """Rows bit for bit; dense and sparse gradients of the tables as the definition's in float64."""
    leaves = [table.detach().requires_grad_() for table in tables]
    exact_leaves = [table.detach().double().requires_grad_() for table in tables]
    exact = definition(ids, exact_leaves)
    weight = torch.arange(exact.numel(), device=ids.device).sin().view_as(exact).to(tables[0].dtype)
    expected = torch.autograd.grad(exact, exact_leaves, weight.double())
    for sparse in (False, True):
        out = kernels.embedding(ids, leaves, sparse=sparse)
        assert torch.equal(out, definition(ids, tables))
        for grad, exact_grad, column in zip(torch.autograd.grad(out, leaves, weight), expected, ids.T, strict=True):
            assert grad.is_sparse == sparse and grad.dtype == tables[0].dtype and grad.shape == exact_grad.shape
            if sparse:
                assert grad.is_coalesced()
                assert torch.equal(grad.indices()[0], column.unique())
                grad = grad.to_dense()
            tolerance = TOLERANCE[tables[0].dtype]
            torch.testing.assert_close(grad.double(), exact_grad, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("channels", [16, 1, 5, 33, 64])
@pytest.mark.parametrize("skewed", [False, True])
def test_matches_definition(device: str, dtype: torch.dtype, channels: int, skewed: bool) -> None:
    rows = (1, 2, 300, 70_000)
    tables = draw_tables(rows, channels, device=device, dtype=dtype)
    check_values_and_gradients(draw_ids(rows, 301, device=device, skewed=skewed), tables)


def test_batch_beyond_the_short_sort(device: str) -> None:
    rows = (3, 5_000, 100_000)
    check_values_and_gradients(draw_ids(rows, 5000, device=device, skewed=True), draw_tables(rows, 4, device=device))


@given(
    batch=st.integers(0, 9),
    rows=st.lists(st.integers(1, 300), min_size=1, max_size=5),
    channels=st.integers(0, 20),
    dtype=st.sampled_from(TYPES),
)
def test_matches_definition_on_any_shape(batch: int, rows: list[int], channels: int, dtype: torch.dtype) -> None:
    check_values_and_gradients(draw_ids(rows, batch), draw_tables(rows, channels, dtype=dtype))


def test_empty_batch_takes_empty_tables(device: str) -> None:
    ids = torch.empty(0, 2, dtype=torch.int64, device=device)
    check_values_and_gradients(ids, draw_tables((0, 3), 4, device=device))


def test_sparse_gradient_is_of_the_size_of_the_batch() -> None:
    """A dense gradient of this table would be 64 GB."""
    table = torch.zeros(1, 16).expand(1_000_000_000, 16).requires_grad_()
    ids = torch.tensor([[999_999_999], [5], [999_999_999]])
    (grad,) = torch.autograd.grad(kernels.embedding(ids, [table], sparse=True).sum(), table)
    assert grad.indices().tolist() == [[5, 999_999_999]] and grad.values()[:, 0].tolist() == [1, 2]


def test_non_contiguous(device: str) -> None:
    (table,) = draw_tables((40,), 24, device=device)
    ids = draw_ids((10, 10), 12, device=device)
    for views in (
        (table[10:20], table[20:30]),
        (table[:, :7], table[:, 9:16]),
        (table[::2], table[1::2]),
        (table[:, ::3], table[:, 1::3]),
        (table.T[:12], table.T[12:]),
        (table[:1].expand(30, 24), table[1:2].expand(30, 24)),
    ):
        check_values_and_gradients(ids, views)
        check_values_and_gradients(ids.T.contiguous().T, views)


def test_non_contiguous_gradient(device: str) -> None:
    table = draw_tables((4,), 3, device=device)[0].requires_grad_()
    ids = torch.tensor([[1], [3], [1]], device=device)
    (grad,) = torch.autograd.grad(kernels.embedding(ids, [table]).sum(), table)  # an expanded scalar
    assert grad[:, 0].tolist() == [0, 2, 0, 1]


def test_one_table_for_two_fields(device: str) -> None:
    table = draw_tables((6,), 3, device=device)[0].requires_grad_()
    ids = torch.tensor([[1, 5], [2, 1]], device=device)
    for sparse in (False, True):
        (grad,) = torch.autograd.grad(kernels.embedding(ids, [table, table], sparse=sparse).sum(), table)
        assert (grad.to_dense() if sparse else grad)[:, 0].tolist() == [0, 2, 1, 0, 0, 1]


def test_results_do_not_depend_on_threads() -> None:
    """Not even in the last bit: a row's sum is one thread's, in the order of the batch."""
    rows, threads = (50, 1000, 20_000), torch.get_num_threads()
    tables = [table.requires_grad_() for table in draw_tables(rows, 16)]
    ids = draw_ids(rows, 3000, skewed=True)
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            out = kernels.embedding(ids, tables)
            sparse = torch.autograd.grad((kernels.embedding(ids, tables, sparse=True) ** 2).sum(), tables)
            results.append([out, *torch.autograd.grad((out**2).sum(), tables), *(grad.to_dense() for grad in sparse)])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
    dense, sparse = results[0][1:4], results[0][4:]
    assert all(torch.equal(a, b) for a, b in zip(dense, sparse, strict=True))


def test_gradcheck(device: str) -> None:
    tables = [table.requires_grad_() for table in draw_tables((3, 4), 2, device=device, dtype=torch.float64)]
    ids = torch.tensor([[0, 3], [2, 3], [0, 1]], device=device)
    assert torch.autograd.gradcheck(lambda *tables: kernels.embedding(ids, tables), tables)
    assert torch.autograd.gradgradcheck(lambda *tables: kernels.embedding(ids, tables), tables)


def test_sparse_gradients_have_no_gradient(device: str) -> None:
    tables = [table.requires_grad_() for table in draw_tables((3,), 2, device=device)]
    out = kernels.embedding(torch.tensor([[1]], device=device), tables, sparse=True)
    if extension.extension() is not None:
        with pytest.raises(KernelError, match="use sparse=False"):
            torch.autograd.grad((out**2).sum(), tables, create_graph=True)


@pytest.mark.parametrize(("bad", "field", "rows"), [(-1, 0, 3), (3, 0, 3), (7, 1, 7), (2**40, 1, 7), (-(2**62), 1, 7)])
@pytest.mark.parametrize("sparse", [False, True])
def test_id_outside_its_table(device: str, bad: int, field: int, rows: int, sparse: bool) -> None:
    ids = torch.ones(700, 2, dtype=torch.int64, device=device)
    ids[602, field] = ids[650, 0] = bad
    message = (
        rf"^sparse field {field} holds id {bad} in row 602 of the batch, but its table has {rows} rows "
        rf"\(ids 0 to {rows - 1}\); raise the field's cardinality or hash the id$"
    )
    with pytest.raises(FeatureError, match=message):
        kernels.embedding(ids, draw_tables((3, 7), 4, device=device), sparse=sparse)


def test_wrong_id_stops_a_training_step(device: str) -> None:
    """Before an optimiser could take it: in the lookup, or on a GPU in its backward."""
    tables = [table.requires_grad_() for table in draw_tables((3, 7), 4, device=device)]
    ids = torch.tensor([[1, 2], [1, 7]], device=device)
    with pytest.raises(FeatureError, match="sparse field 1 holds id 7 in row 1 of the batch"):
        kernels.embedding(ids, tables).sum().backward()
    kernels.embedding(ids[:1], tables).sum().backward()  # and it is forgotten
    assert tables[0].grad is not None and tables[0].grad[1, 0] == 1


@needs_extension
def test_operators_tell_a_wrong_id_with_the_same_words() -> None:
    """Exported programs call the operators past the face."""
    ids = torch.tensor([[1, 1], [1, 9], [5, 1]])
    tables, grad = draw_tables((3, 7), 4), torch.zeros(3, 2, 4)
    with pytest.raises(FeatureError) as face:
        kernels.embedding(ids, tables)
    for name, operands in (
        ("embedding", (ids, tables, False)),
        ("embedding_backward", (grad, ids, [3, 7])),
        ("embedding_backward_rows", (grad, ids, [3, 7])),
    ):
        with pytest.raises(RuntimeError) as raised:
            getattr(torch.ops.nasrec, name)(*operands)
        assert str(raised.value).splitlines()[0] == f"{name}: {face.value}"


def test_operands_that_do_not_fit(device: str) -> None:
    ids, tables = torch.zeros(2, 2, dtype=torch.int64, device=device), draw_tables((3, 4), 5, device=device)
    with pytest.raises(KernelError, match=r"^embedding: ids must be \[B, 1\], one column for each .* got \[2, 2\]$"):
        kernels.embedding(ids, tables[:1])
    with pytest.raises(KernelError, match=r"^embedding: ids must be \[B, 0\]"):
        kernels.embedding(ids, [])
    with pytest.raises(KernelError, match=r"^embedding: tables must be \[rows, e\] with one e, got \[3, 5\], \[4, 3\]"):
        kernels.embedding(ids, [tables[0], tables[1][:, 2:]])


@needs_extension
def test_operators_check_their_operands(device: str) -> None:
    forward, backward = torch.ops.nasrec.embedding, torch.ops.nasrec.embedding_backward
    ids, tables = torch.zeros(2, 2, dtype=torch.int64, device=device), draw_tables((3, 4), 5, device=device)
    grad = torch.zeros(2, 2, 5, device=device)
    with pytest.raises(RuntimeError, match=r"embedding: ids must be \[B, 2\].* got \[2\]"):
        forward(ids[0], tables, False)
    with pytest.raises(RuntimeError, match="embedding: ids must be int64, got Int"):
        forward(ids.int(), tables, False)
    with pytest.raises(RuntimeError, match=r"embedding: a table must be \[rows, e\], got \[5\]"):
        forward(ids, [tables[0], tables[1][0]], False)
    with pytest.raises(RuntimeError, match=r"tables must agree in channels, got \[3, 5\] and \[4, 3\]"):
        forward(ids, [tables[0], tables[1][:, 2:]], False)
    with pytest.raises(RuntimeError, match="a table must have the type of the first, got Double and Float"):
        forward(ids, [tables[0], tables[1].double()], False)
    with pytest.raises(RuntimeError, match="a table must be float32, float64 or bfloat16, got Half"):
        forward(ids, [table.half() for table in tables], False)
    with pytest.raises(RuntimeError, match=r"embedding_backward: grad must be \[2, 2, e\], got \[2, 1, 5\]"):
        backward(grad[:, :1], ids, [3, 4])
    with pytest.raises(RuntimeError, match="embedding_backward: a table cannot have -1 rows"):
        backward(grad, ids, [3, -1])


@needs_extension
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_opcheck(device: str, dtype: torch.dtype) -> None:
    rows = [3, 40]
    tables = [table.requires_grad_() for table in draw_tables(rows, 4, device=device, dtype=dtype)]
    ids = draw_ids(rows, 6, device=device)
    grad = torch.ones(6, 2, 4, device=device, dtype=dtype)
    torch.library.opcheck(torch.ops.nasrec.embedding.default, (ids, tables, False))
    torch.library.opcheck(torch.ops.nasrec.embedding_backward.default, (grad.requires_grad_(), ids, rows))
    torch.library.opcheck(torch.ops.nasrec.embedding_backward_rows.default, (grad.detach(), ids, rows))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles_as_one_graph(device: str, backend: str, sparse: bool) -> None:
    """Compiled programs have dense gradients whatever was asked for, as those of `torch.nn.Embedding` would not."""
    tables = [table.requires_grad_() for table in draw_tables((3, 40), 4, device=device)]
    ids = draw_ids((3, 40), 6, device=device)

    def model(ids: Tensor, tables: list[Tensor]) -> Tensor:
        return torch.relu(kernels.embedding(ids, tables, sparse=sparse)).sum()

    compiled = torch.compile(model, fullgraph=True, backend=backend)
    grads = torch.autograd.grad(compiled(ids, tables), tables)
    expected = torch.autograd.grad(torch.relu(definition(ids, tables)).sum(), tables)
    for grad, exact in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, exact)


@needs_extension
def test_exported_program_keeps_the_operator() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables = torch.nn.ParameterList(draw_tables((3, 40), 4))

        def forward(self, ids: Tensor) -> Tensor:
            return kernels.embedding(ids, list(self.tables))

    model = Model()
    program = torch.export.export(model, (draw_ids((3, 40), 6),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    assert torch.ops.nasrec.embedding.default in {node.target for node in program.graph.nodes}
    for batch in (0, 1, 9):
        ids = draw_ids((3, 40), batch)
        assert torch.equal(program.module()(ids), model(ids))


@needs_extension
def test_use_reference_leaves_the_kernel_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    of_reference = reference.embedding
    monkeypatch.setattr(reference, "embedding", lambda *a, **k: calls.append(1) or of_reference(*a, **k))
    ids, tables = draw_ids((3, 40), 6), [table.requires_grad_() for table in draw_tables((3, 40), 4)]
    kernels.embedding(ids, tables)
    assert not calls
    with kernels.use_reference():
        out = kernels.embedding(ids, tables, sparse=True)
    assert len(calls) == 1
    assert all(grad.is_sparse for grad in torch.autograd.grad(out.sum(), tables))


def test_types_without_a_kernel_use_the_reference(device: str) -> None:
    tables = [table.half() for table in draw_tables((3, 40), 4, device=device)]
    ids = draw_ids((3, 40), 6, device=device)
    assert torch.equal(kernels.embedding(ids, tables), definition(ids, tables))
    assert torch.equal(kernels.embedding(ids.int(), tables), definition(ids, tables))


def check_kernels() -> None:
    """What holds on every instruction set: see test_instruction_sets."""
    for dtype, channels in itertools.product(TYPES, (16, 1, 5, 33, 64)):
        rows = (1, 3, 300, 3000)
        check_values_and_gradients(draw_ids(rows, 150, skewed=True), draw_tables(rows, channels, dtype=dtype))
