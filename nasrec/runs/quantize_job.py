"""One run of `nasrec quantize` in a folder of its own: scores of the float model, calibration, training in few bits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import nasrec_ir
from nasrec.errors import TrainError
from nasrec.io.atomic import write_text
from nasrec.runs import folder, settings, weights
from nasrec.runs.job import TrainingJob, run_training
from nasrec.runs.reporter import Reporter
from nasrec_ir import Graph
from nasrec_ir.codegen import generate

if TYPE_CHECKING:
    import torch

    from nasrec.compiler import CompiledModel
    from nasrec.quant import Calibration, Scheme
    from nasrec.runs.quantize_options import QuantizeOptions
    from nasrec.runs.train import Subject
    from nasrec.train import TrainConfig
    from nasrec.train.distributed.context import DistributedContext

__all__ = ["QuantizeJob", "calibrated", "trained"]


@dataclass(frozen=True)
class QuantizeJob(TrainingJob):
    """A job whose model is quantised and calibrated before it is trained, if it is trained at all.

    Attributes:
        base: the graph of the weights that it starts from; `graph` is that with the scheme's bits.
        seed: of initial weights, where it starts from none.
    """

    command: ClassVar[str] = "quantize"

    base: Graph | None = None
    scheme: Scheme | None = None
    calibration: Calibration | None = None

    @classmethod
    def of(
        cls, subject: Subject, options: QuantizeOptions, context: DistributedContext, reporter: Reporter
    ) -> QuantizeJob:
        """The job of a subject. Raises `QuantError` where the scheme does not fit its model."""
        from nasrec.quant import annotate

        plain, scheme = subject.job(context, reporter), options.scheme
        architecture = plain.architecture
        if architecture.genotype is not None:
            architecture = replace(architecture, genotype=scheme.on(architecture.genotype))
        return cls(
            architecture, plain.features, annotate(plain.graph, scheme), plain.data, context,
            {settings.COMMAND: "quantize", **plain.settings, **options.settings()}, plain.start, plain.every,
            plain.tensorboard, plain.shard_tables, reporter,
            base=plain.graph, scheme=scheme, calibration=options.calibration_settings,
        )  # fmt: skip

    @property
    def has_all_bits(self) -> bool:
        """Whether every product that is quantised has its bits already, so that those of the scheme are for none."""
        from nasrec.quant import Scheme, annotate

        assert self.base is not None
        return nasrec_ir.dump(annotate(self.base, Scheme(2, 2))) == nasrec_ir.dump(annotate(self.base, Scheme(3, 3)))

    def model(self, seed: int) -> CompiledModel:
        """Quantised and calibrated, with the weights of the file, or else with initial ones."""
        from nasrec.layers import Quantizable
        from nasrec.quant import calibrate
        from nasrec.quant.model import with_graph

        model = with_graph(self.float_model(seed), self.graph)
        calibrate(model, self.data.splits.train, self.calibration)
        if self.start is None:  # what the initial weights give says little about those to come
            for layer in model.modules():
                if isinstance(layer, Quantizable):
                    layer.observing = True
        return model

    def float_model(self, seed: int) -> CompiledModel:
        """What is quantised, in floats."""
        from nasrec.quant import stripped
        from nasrec.quant.model import with_graph

        assert self.base is not None
        return with_graph(self.begun(self.base, seed), stripped(self.base)).to(self.context.device)

    @cached_property
    def identity(self) -> dict[str, Any]:
        assert self.scheme is not None and self.calibration is not None
        # First what people choose: of several differences the first is named.
        plain = {"scheme": self.scheme.to_dict(), "calibration": asdict(self.calibration), **self.plain_identity()}
        found: dict[str, Any] = json.loads(json.dumps(plain))  # as it is read from a report
        return found

    def summary(self) -> dict[str, Any]:
        return {**super().summary(), "quantisation": self.made}

    @cached_property
    def made(self) -> dict[str, Any]:
        """What the quantisation is, apart from training: bytes, precisions, scores of trained weights before it."""
        assert self.scheme is not None and self.calibration is not None and self.base is not None
        from nasrec.quant import stripped

        before, after = nasrec_ir.cost(stripped(self.base)), nasrec_ir.cost(self.graph)
        tables = 4 * after.embedding_parameters
        return {
            "scheme": self.scheme.to_dict(),
            "calibration": asdict(self.calibration),
            "weights": self.start[0] if self.start else None,
            "bytes": {
                "float": before.parameter_bytes - tables,
                "quantised": after.parameter_bytes - tables,
                "tables": tables,
            },
            "products": _products(self.graph),
            "scores": self._scores_before() if self.start else {},
        }

    def _scores_before(self) -> dict[str, Any]:
        model = self.float_model(0)
        found = {"float": scores_of(self, model)}
        return found | {"calibrated": scores_of(self, self.model(0))}


def calibrated(job: QuantizeJob, config: TrainConfig, target: Path) -> dict[str, Any]:
    """Saves the calibrated model, or finds it saved; gives the report.

    Raises:
        NasrecError: the folder holds another run, or a file cannot be written.
    """
    found = folder.finished(target, {"config": None, **job.identity}) if job.context.is_main else None
    known: dict[str, Any] | None = job.context.broadcast_object(found)
    if known is not None:
        return known
    model = job.model(config.seed)
    report = {**job.summary(), "identity": job.identity, "interrupted": False}
    report |= {"seed": config.seed, "scores": report["quantisation"]["scores"]["calibrated"]}
    report["quantisation"]["scales"] = _scales(job.graph, model.state_dict())
    if job.context.is_main:
        own = settings.to_toml({**job.settings_in(target), "seed": config.seed}, None)
        write_text(target / "config.toml", own, TrainError)
        job.save_source(target, model)
        weights.save(model, target / "weights.pt")
        folder.write_report(target, report)
    job.context.barrier()
    return folder.plain(report)


def trained(job: QuantizeJob, config: TrainConfig, target: Path) -> dict[str, Any]:
    """Trains the calibrated model, or goes on where a run in the folder stands; gives the report.

    Raises:
        NasrecError: the folder holds another run, training fails, or a file cannot be written.
    """
    report = run_training(job, config, target, f"training {job.architecture.name} in few bits")
    if not report["interrupted"] and "trained" not in report["quantisation"]["scores"]:
        report["quantisation"]["scores"]["trained"] = {part: report["scores"][part] for part in ("valid", "test")}
        if job.context.is_main:
            report["quantisation"]["scales"] = _scales(job.graph, weights.read(str(target / "weights.pt")))
            folder.write_report(target, report)
    return folder.plain(report)


def scores_of(job: TrainingJob, model: CompiledModel) -> dict[str, Any]:
    """Metrics on the validation and on the test rows."""
    from nasrec.train.prediction import evaluate

    return {
        part: evaluate(model, getattr(job.data.splits, part), context=job.context).to_dict()
        for part in ("valid", "test")
    }


def _products(graph: Graph) -> list[dict[str, Any]]:
    """Node, kind, bits and bytes of every stored product."""
    from nasrec.quant import kind_of
    from nasrec_ir.ops import OPS

    return [
        {
            "node": node.id,
            "kind": kind_of(graph[node.id]),
            "weight_bits": node.weight_bits,
            "act_bits": node.act_bits,
            "bytes": node.parameter_bytes,
            "macs": node.macs,
        }
        for node in nasrec_ir.cost(graph).nodes
        if "weight_bits" in OPS[node.op].known
    ]


def _scales(graph: Graph, state_dict: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The scale of each node's operands, as a model of the graph holds them."""
    layers = generate(graph).members
    nodes = [node.id for node in graph if node.param("act_scale") is not None]
    return {node: float(state_dict[f"{layers[node]}.act_scale"]) for node in nodes}
