"""A whole profile: every node in it, sums that add up, backends side by side, clear refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import nasrec
from nasrec import Block, FeatureSpec, Genotype, baselines
from nasrec.baselines import BASELINES
from nasrec.errors import ProfileError
from nasrec.profiling import Profile, profile_graph
from nasrec.profiling import api as entry
from nasrec.profiling.api import space_of
from tests.profiling.conftest import little


@pytest.fixture(params=["forward", "train", "supernet"])
def found(request: pytest.FixtureRequest, profile_of: Callable[..., Profile], device: str) -> Profile:
    return profile_of(request.param, device)


@pytest.mark.parametrize("what", ["forward", "train"])
def test_batch_norm_and_dropout_are_timed(what: str, features: FeatureSpec) -> None:
    graph = baselines.deepfm(features, hidden=(4,), batch_norm=True, dropout=0.5)
    found = profile_graph(graph, features, what, batch=6, rounds=3)  # type: ignore[arg-type]
    seconds = {node.id: node.seconds for node in found.nodes}
    assert seconds["deep.0.norm"] > 0 and "deep.0.dropout" in seconds


def test_every_node_is_there(found: Profile) -> None:
    assert [node.id for node in found.nodes] == [node.id for node in found.graph if node.op != "input"]
    assert all(node.forward_s > 0 for node in found.nodes)
    trained = found.what != "forward"
    assert any(node.backward_s is not None for node in found.nodes) == trained
    assert any(node.work.backward.macs for node in found.nodes) == trained
    for node in found.nodes:
        if node.gflops is not None:
            assert node.gflops * 1e9 * node.seconds == pytest.approx(2 * node.total_work.macs)
        assert (node.gflops is None) == (node.total_work.macs == 0)
        assert (node.gb_s is None) == (node.total_work.moved_bytes == 0)
    assert (found.batch, found.rounds) == (6, 3)


def test_what_is_left_over_adds_up(found: Profile) -> None:
    timed = sum(node.forward_s + (node.backward_s or 0) for node in found.nodes) + sum(found.other_s.values())
    assert timed + found.unaccounted_s == pytest.approx(found.ours.seconds)
    other = {"forward": set(), "train": {"loss", "gradient sums", "optimiser"}}
    assert set(found.other_s) == other.get(found.what, other["train"] | {"lowering"})
    assert (
        0
        < found.floor_s
        == pytest.approx(
            2e-9 * found.work.macs / found.peaks.gemm_gflops + 1e-9 * found.work.moved_bytes / found.peaks.copy_gb_s
        )
    )


def test_rivals_stand_beside_ours(found: Profile) -> None:
    assert found.ours.name == "ours" and [rival.name for rival in found.backends] == ["eager"]
    for total in (found.ours, *found.backends):
        low, high = total.quartiles_s
        assert 0 < low <= total.seconds <= high
        assert set(total.parts) == (
            {"forward"}
            if found.what == "forward"
            else {"optimiser", "forward", "loss", "backward"} | ({"lowering"} if found.what == "supernet" else set())
        )


def test_plain_values_are_strict_json(found: Profile) -> None:
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert sum(node["forward_us"] + (node["backward_us"] or 0) for node in plain["nodes"]) == pytest.approx(
        plain["totals"]["nodes_us"]
    )
    assert plain["totals"]["us"] == plain["rivals"]["ours"]["us"]
    assert sum(node["share"] for node in plain["nodes"]) == pytest.approx(found.nodes_s / found.ours.seconds)
    assert plain["masking"] == ("published" if found.what == "supernet" else None)


def test_eager_runs_the_reference_and_ours_does_not(
    genotype: Genotype, features: FeatureSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasrec.kernels import extension

    forced: list[bool] = []
    compiled_model = entry.compiled_model

    def watched(*args: Any, **options: Any) -> Any:
        workload = compiled_model(*args, **options)

        def model(dense: torch.Tensor, sparse: torch.Tensor) -> torch.Tensor:
            forced.append(extension.reference_forced())
            return workload.ours.model(dense, sparse)

        return replace(
            workload,
            ours=replace(workload.ours, model=model),
            backends={"eager": lambda: replace(workload.backends["eager"](), model=model)},
        )

    monkeypatch.setattr(entry, "compiled_model", watched)
    little(genotype, features, "forward", rounds=4, backends=())
    assert forced and not any(forced)
    forced.clear()
    little(genotype, features, "forward", rounds=4, backends=("eager",))
    assert forced.count(True) == forced.count(False) > 4


def test_a_compiler_that_fails_leaves_the_rest(
    genotype: Genotype, features: FeatureSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(model: object, **options: object) -> Any:
        def fail(*inputs: object) -> None:
            raise RuntimeError("no compiler\n  found")

        return fail

    monkeypatch.setattr(torch, "compile", no_compiler)
    found = little(genotype, features, "train", backends=("compile", "eager"))
    failed, eager = found.backends
    assert (failed.name, failed.failure) == ("compile", "no compiler found")
    assert failed.to_dict()["us"] is None
    assert eager.failure is None and eager.seconds > 0


@pytest.mark.slow
@pytest.mark.parametrize("what", ["train", "supernet"])
def test_torch_compile_runs(what: str) -> None:
    tiny = Genotype((Block(("fc", "efc"), 16, 16, (0,), (0,), (0,), (0,), False, False),))
    (compiled,) = little(tiny, FeatureSpec(2, [3]), what, backends=("compile",)).backends
    assert compiled.failure is None and compiled.seconds > 0
    assert compiled.prepare_s is not None and compiled.prepare_s > compiled.seconds


def test_masking_is_the_supernets(genotype: Genotype, features: FeatureSpec) -> None:
    full = little(genotype, features, "supernet", masking="full_width", backends=())
    sliced = little(genotype, features, "supernet", masking="sliced", backends=())
    assert (full.masking, sliced.masking) == ("full_width", "sliced")
    former = little(genotype, features, "supernet", masking="published", backends=())
    assert former.masking == "full_width" and former.graph == full.graph
    assert sliced.work.macs < full.work.macs


@pytest.mark.parametrize("name", BASELINES)
def test_baselines(name: str, features: FeatureSpec) -> None:
    graph = baselines.build(name, features)
    found = profile_graph(graph, features, "train", batch=4, rounds=1, backends=())
    assert [node.id for node in found.nodes] == [node.id for node in graph if node.op != "input"]


def test_space_of_a_genotype(genotype: Genotype) -> None:
    assert genotype in space_of(genotype)
    odd = replace(genotype, blocks=(replace(genotype.blocks[0], dense_width=24, sparse_width=5), *genotype.blocks[1:]))
    assert odd in space_of(odd)
    assert 24 in space_of(odd).dense_widths and 5 in space_of(odd).sparse_widths
    assert max(space_of(odd).dense_widths) == 1024 and max(space_of(odd).sparse_widths) == 64
    bits = replace(genotype, blocks=tuple(replace(b, operator_bits=(4,) * len(b.operators)) for b in genotype.blocks))
    assert bits in space_of(bits)
    for name in nasrec.presets.names():
        preset = nasrec.presets.load(name)
        assert preset in space_of(preset)
        assert space_of(preset).published == name.split("-")[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch must be"),
        ({"batch": -3}, "batch must be"),
        ({"batch": True}, "batch must be"),
        ({"rounds": 0}, "rounds must be"),
        ({"backends": ("onnx",)}, "backends may name eager, compile"),
        ({"device": "meta"}, "device must be cpu or cuda"),
        ({"device": "abacus"}, "device must be cpu or cuda"),
    ],
)
def test_bad_arguments(genotype: Genotype, features: FeatureSpec, options: dict[str, Any], words: str) -> None:
    for what in ("forward", "supernet"):
        with pytest.raises(ProfileError, match=words):
            little(genotype, features, what, **options)


def test_unknown_what(genotype: Genotype, features: FeatureSpec) -> None:
    with pytest.raises(ProfileError, match="what must be 'forward' or 'train', not 'backward'"):
        little(genotype, features, "backward")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_cuda_without_a_card(genotype: Genotype, features: FeatureSpec) -> None:
    with pytest.raises(ProfileError, match="no CUDA device"):
        little(genotype, features, "forward", device="cuda")


def test_too_much_is_refused_beforehand(genotype: Genotype, features: FeatureSpec) -> None:
    for what in ("forward", "train", "supernet"):
        with pytest.raises(ProfileError, match=r"a batch of 2,000,000,000 rows takes about .* GiB .* are free on cpu"):
            little(genotype, features, what, batch=2_000_000_000)


def test_an_allocation_that_fails_is_told(
    genotype: Genotype, features: FeatureSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        torch.empty(1 << 60)

    monkeypatch.setattr("nasrec.profiling.api.profile", fail)
    with pytest.raises(ProfileError, match="not enough memory for a batch of 6 rows"):
        little(genotype, features, "forward")


def test_other_errors_are_not_taken_for_memory(
    genotype: Genotype, features: FeatureSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("nasrec.profiling.api.profile", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        little(genotype, features, "forward")
