"""The dot-product without balancing: supernet, extracted model, compiled model and interpreter agree."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
import torch

import nasrec
import nasrec_ir
import nasrec_pim
from nasrec import Block, FeatureSpec, Genotype, GenotypeError, SearchSpace, SpaceError, Supernet
from nasrec.compiler import slices as slices_module
from nasrec.errors import TrainError
from nasrec.interop import release
from nasrec.lowering import lower
from nasrec.lowering.masking import Masking
from nasrec.supernet import PathAdagrad

FEATURES = FeatureSpec(3, [4, 9, 2], 8)
SPACE = SearchSpace.small(3, dense_dims=(16, 32), sparse_dims=(16, 32), max_inputs=2, balanced_dot=False)
HARDWARE = nasrec_pim.Hardware.mnsim()
MASKINGS: tuple[Masking, ...] = ("full_width", "sliced")


def batch(size: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(0, rows, (size,), generator=generator) for rows in FEATURES.cardinalities]
    return torch.randn(size, 3, generator=generator, dtype=torch.float64), torch.stack(ids, 1)


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("many", [1, 1000])
def test_paths_agree_with_the_interpreter(masking: Masking, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether columns are gathered in one copy (`many` = 1) or read as views."""
    monkeypatch.setattr(slices_module, "MANY", many)
    net = Supernet(SPACE, FEATURES, masking=masking, seed=0).double()
    dense, sparse = batch()
    rng = np.random.default_rng(0)
    for genotype in (net.widest, *(SPACE.sample(rng) for _ in range(6))):
        model = net.extract(genotype)
        logits = model(dense, sparse)
        torch.testing.assert_close(net(dense, sparse, genotype), logits, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(net.path(genotype)(dense, sparse), logits, rtol=1e-9, atol=1e-9)
        if masking == "sliced":
            graph = lower(genotype, FEATURES, operators=("fc", "dot_product", "efc"))
            stored = {ref.name: ref for ref in graph.parameters().values()}
            own = {
                ref.name: f"{model.layer_names[node.id]}.{role}" for node in model.graph for role, ref in node.params
            }
            values = {
                name: model.get_parameter(own[name]).detach().numpy() if name in own else np.zeros(ref.view_shape)
                for name, ref in stored.items()
            }  # fmt: skip
            found = nasrec_ir.interpret(graph, values, {"dense": dense.numpy(), "sparse": sparse.numpy()})
            np.testing.assert_allclose(found, logits.detach().numpy(), rtol=1e-8, atol=1e-8)


def test_columns_of_the_store_are_pairs_of_stored_rows() -> None:
    """Block 1 reads the raw features and skips block 0: rows 0 (dense), 1 to 3 of 3 + 40 fields and the dense row."""
    block = Block(("dot_product", "efc"), 16, 16, (0,), (0,), (0,), (0,), False, False)
    net = Supernet(SPACE, FEATURES, masking="sliced", seed=0)
    last = Genotype((block, block, Block(("dot_product", "efc"), 16, 16, (0,), (0, 2), (0,), (0,), False, False)),
                    balanced_dot=False)  # fmt: skip
    ref = net.graph(last)["b2.dot.proj"].param("weight")
    assert ref is not None
    fields = [*range(3), *range(3 + 40, 3 + 40 + 16)]
    rows = [0, *(field + 1 for field in fields)]
    columns = [i * (i - 1) // 2 + j for i, j in itertools.product(rows, rows) if j < i]
    assert [c for start, stop in ref.columns for c in range(start, stop)] == columns
    assert ref.shape == (32, 84 * 83 // 2)


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("many", [1, 1000])
def test_steps_equal_the_dense_optimiser(masking: Masking, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_module, "MANY", many)
    net, twin = (Supernet(SPACE, FEATURES, masking=masking, seed=0).double() for _ in range(2))
    ours, torchs = PathAdagrad(net, 0.1), torch.optim.Adagrad(twin.parameters(), 0.1, eps=1e-2)
    dense, sparse = batch()
    rng = np.random.default_rng(1)
    for _ in range(4):
        genotype = SPACE.sample(rng)
        path = net.path(genotype)
        path(dense, sparse).square().mean().backward()
        ours.step(path)
        torchs.zero_grad(set_to_none=False)
        twin(dense, sparse, genotype).square().mean().backward()
        torchs.step()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter, twin.get_parameter(name), rtol=1e-8, atol=1e-10, msg=name)


def test_every_room_knows_of_it(tmp_path) -> None:
    """Sampling, mutation, encoding, JSON, cost: a genotype keeps the choice, and one of the other kind is no member."""
    rng = np.random.default_rng(2)
    genotype = SPACE.sample(rng)
    assert not genotype.balanced_dot and not SPACE.mutate(genotype, rng).balanced_dot
    assert SPACE.decode(SPACE.encode(genotype)) == genotype
    assert SearchSpace.from_dict(SPACE.to_dict()) == SPACE
    genotype.save(tmp_path / "g.json")
    assert Genotype.load(tmp_path / "g.json") == genotype
    balanced = Genotype(genotype.blocks)
    assert "balanced_dot" not in balanced.to_dict() and balanced != genotype
    assert "balanced_dot = True is not allowed" in str(SPACE.violation(balanced))
    block = Block(("dot_product", "efc"), 64, 16, (0,), (0,), (0,), (0,), False, False)
    # 3 + 1 rows: 16 for the Gram square, 6 pairs to 64 units; balanced: 3 fields to 11 rows first.
    costs = [nasrec.cost(Genotype((block,), balanced_dot=b), FEATURES).nodes for b in (False, True)]
    assert not any("dot.fields" in node.id for node in costs[0]) and any("dot.fields" in node.id for node in costs[1])
    mapped = nasrec_pim.map_graph(nasrec.graph_of(Genotype((block,), balanced_dot=False), FEATURES), HARDWARE)
    assert nasrec_pim.estimate(mapped).latency_ns > 0
    with pytest.raises(GenotypeError, match="balanced_dot: the release's dot-product is always balanced"):
        release.dump_genotype(genotype)
    with pytest.raises(GenotypeError, match="balanced_dot must be true or false"):
        Genotype(genotype.blocks, balanced_dot=1)  # type: ignore[arg-type]
    with pytest.raises(SpaceError, match="balanced_dot must be true or false"):
        SearchSpace.small(1, balanced_dot="no")


def test_an_absurd_store_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"weights take .* GiB, this machine has .*keep the dot-product balanced"):
        Supernet(SearchSpace.full(40, balanced_dot=False), FEATURES)
    with torch.device("meta"):
        tiny = Supernet(SPACE, FEATURES)
    assert PathAdagrad(tiny).sums["_final.bias"].is_meta, "what lies elsewhere needs no memory here"


def test_training_that_would_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store may fit where store and sums of squares together do not."""
    net = Supernet(SPACE, FEATURES, seed=0)
    pages = 1.5 * sum(parameter.nbytes for parameter in net.parameters())
    monkeypatch.setattr(os, "sysconf", lambda name: 1 if name == "SC_PAGE_SIZE" else int(pages))
    Supernet(SPACE, FEATURES, seed=0)
    with pytest.raises(TrainError, match="weights and their sums of squares, takes"):
        PathAdagrad(net)
