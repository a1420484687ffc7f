"""Run a trained model on simulated crossbars: AUC and log loss under variation, faults and noise, beside its energy."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasrec.cli.options import data as rows
from nasrec.cli.options import hardware as chips
from nasrec.cli.options import model as architectures
from nasrec.cli.usage import number
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec.runs import weights
from nasrec_pim import CrossbarModel, Nonideal, estimate, map_graph

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel

HELP = "AUC and log loss of a trained model on simulated crossbars"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser)
    rows.add_options(parser, required=True)
    weights.add_option(parser)
    parser.add_argument("--hardware", default=chips.DEFAULT, metavar="HW", help=f"{chips.named()}; default default")
    chips.add_override(parser)
    parser.add_argument("--part", choices=("valid", "test"), default="valid", help="rows to score (default valid)")
    parser.add_argument("--limit", type=number(1), metavar="N", help="score only the first N of them")
    parser.add_argument("--chips", type=number(1, 1000), default=1, metavar="N", help="simulate N chips (default 1)")
    parser.add_argument("--ideal-cells", action="store_true", help="no variation and no stuck cells")
    parser.add_argument("--no-noise", action="store_true", help="no noise when reading")
    parser.add_argument("--drift", type=float, default=0.0, metavar="SECONDS", help="time since programming")
    parser.add_argument("--ir-drop", action="store_true", help="voltage lost along wires, to first order")
    parser.add_argument(
        "--adc-range",
        choices=("calibrated", "clip", "full"),
        default="calibrated",
        help="what the converters' largest code stands for (default: the largest sum met in calibration)",
    )
    parser.add_argument(
        "--embedding-dim",
        type=number(1),
        metavar="E",
        help="channels (default 16, or those of the graph or the weights)",
    )
    parser.add_argument("--seed", type=number(0), default=0, help="of chips, initial weights and a twin's rows")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Compiles, maps, simulates, scores."""
    from nasrec.codesign.onchip import CALIBRATION_ROWS, stored_parameters
    from nasrec.compiler import compile_graph
    from nasrec.metrics import score

    architecture = architectures.from_args(args)
    hardware = chips.load(args.hardware, args.overrides)
    effects = _effects(args)
    state_dict = weights.read(args.weights) if args.weights else None
    data = rows.load(args, seed=args.seed)
    tables = weights.tables_of(state_dict) if state_dict else ()
    channels = args.embedding_dim or architecture.channels or (tables[0][1] if tables else 16)
    graph = architecture.graph(data.splits.train.features(channels))
    weights.require_scales(graph, state_dict)
    model = compile_graph(graph, seed=args.seed)
    if state_dict is not None:
        weights.copy_into(model, state_dict, args.weights)
    scored = data.splits.valid if args.part == "valid" else data.splits.test
    first, calibrating = scored.take(slice(args.limit)), data.splits.train.take(slice(CALIBRATION_ROWS))
    inputs, labels = [first.dense, first.sparse], first.label
    calibration = [calibrating.dense, calibrating.sparse]

    mapping, parameters = map_graph(graph, hardware), stored_parameters(model)
    start = time.perf_counter()
    results = [("full precision", score(_full_precision(model, inputs), labels))]
    for chip in range(args.chips):
        simulated = CrossbarModel(graph, mapping, parameters, calibration, nonideal=effects, seed=args.seed + chip)
        if chip == 0:
            results.append(("quantised", score(simulated.quantized(inputs), labels)))
        results.append((f"chip {chip + 1}", score(simulated.predict(inputs), labels)))
    seconds = time.perf_counter() - start
    report = estimate(mapping)
    if args.json:
        scores = {name: metrics.to_dict() for name, metrics in results}
        cost = {"energy_nJ": report.energy_nJ, "latency_ns": report.latency_ns, "area_mm2": report.area_mm2}
        print(json_text({"data": data.summary(), "hardware": hardware.name, **cost, "scores": scores}))
        return 0
    cells = [[name, f"{m.auc:.5f}", f"{m.log_loss:.5f}", f"{m.calibration:.3f}"] for name, m in results]
    print(f"{graph.name or 'model'} on {hardware.name}, {len(labels):,} rows of {data.source}, {seconds:.1f} s\n")
    print(output.table(("", "AUC", "log loss", "calibration"), cells))
    print(
        f"\n{report.energy_nJ / 1e3:,.2f} uJ and {report.latency_ns / 1e3:,.2f} us a sample, {report.area_mm2:.2f} mm2"
    )
    if state_dict is None:
        print(f"weights are initial ones (seed {args.seed}); --weights takes trained ones")
    return 0


def _effects(args: argparse.Namespace) -> Nonideal:
    return Nonideal(
        variation=not args.ideal_cells,
        stuck=not args.ideal_cells,
        read_noise=not args.no_noise,
        drift_s=args.drift,
        ir_drop=args.ir_drop,
        adc_range=args.adc_range,
    )


def _full_precision(model: CompiledModel, inputs: list[NDArray[Any]]) -> NDArray[np.float64]:
    import torch

    from nasrec.quant import in_floats

    dense, sparse = (torch.as_tensor(np.asarray(array)) for array in inputs)
    with torch.no_grad(), in_floats(model):
        logits = [model(d, s) for d, s in zip(dense.float().split(4096), sparse.long().split(4096), strict=True)]
    return np.asarray(torch.cat(logits).double().numpy())
