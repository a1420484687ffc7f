"""The weight-sharing supernet: a store of parameters, and the paths through it. It has no forward code of its own."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from nasrec.checks import format_value
from nasrec.compiler import CompiledModel, compile_graph
from nasrec.compiler.executor import execute, slices_of
from nasrec.compiler.slices import take
from nasrec.errors import SpaceError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.io.memory import require_memory
from nasrec.lowering.masking import Masking, masking_of
from nasrec.lowering.store import lower_path, store_parameters
from nasrec.space import SearchSpace
from nasrec.space.choices import PerBranch
from nasrec.supernet.path import Path
from nasrec_ir import Graph
from nasrec_ir.passes import OPTIMIZE

__all__ = ["Supernet"]

CACHED_PATHS = 256


class Supernet(nn.Module):
    """Parameters at the largest widths of a space, shared by all of its subnets (section 4.1).

    A path is a genotype of the space, or `widest`, all of the store at once. It is lowered to a graph whose parameters
    are slices of the store, optimised, and run; the compiled stand-alone model is the same graph with parameters of
    its own.

    Args:
        space: what can be sampled.
        features: the data's columns.
        masking: `"full_width"`: operators run at full width, layer norm included, and results are masked, as in the
            release; parameters then have the release's names and shapes. `"sliced"`: operators run on the active
            slice alone, so that a path equals the model that `nasrec.compile` makes of its genotype.
        layer_norm: whether the subnets use layer norm; all genotypes must agree.
        seed: of the initial values; default: torch's global generator.

    Raises:
        SpaceError: unknown masking, or more weights than the machine has memory for.
    """

    def __init__(
        self,
        space: SearchSpace,
        features: FeatureSpec,
        *,
        masking: Masking = "full_width",
        layer_norm: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.space, self.features, self.masking = space, features, masking_of(masking)
        self.layer_norm = layer_norm
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            shapes = store_parameters(space, features, self.masking, layer_norm=layer_norm)
            require_memory(
                4 * sum(map(math.prod, shapes.values())),
                "the supernet's weights take",
                "cut the space's widths or blocks, embedding_dim or the tables' rows"
                + ("" if space.balanced_dot else ", or keep the dot-product balanced"),
                SpaceError,
            )
            for name, shape in shapes.items():
                _put(self, name, _initial(name, shape))
        self._paths: OrderedDict[Genotype, Graph] = OrderedDict()
        self._by_name: dict[str, nn.Parameter] = {}

    def forward(self, dense: Tensor, sparse: Tensor, genotype: Genotype) -> Tensor:
        """Logits of one path: dense [B, num_dense], sparse int64 [B, num_sparse] -> [B].

        Raises:
            SpaceError: the genotype is not in the space.
        """
        return execute(self.graph(genotype), slices_of(self.get_parameter), (dense, sparse))

    def path(self, genotype: Genotype, *, dtype: torch.dtype | None = None) -> Path:
        """The path on leaves of its own that view the shared weights: how to train, with `PathAdagrad`.

        `forward` gives every stored parameter a gradient of its full size; a path's gradients are slice-sized.

        Args:
            genotype: one of the space's.
            dtype: what the path computes in, such as bfloat16; default: the shared weights' type.

        Raises:
            SpaceError: the genotype is not in the space.
        """
        return self.along(self.graph(genotype), dtype=dtype)

    def along(self, graph: Graph, *, dtype: torch.dtype | None = None) -> Path:
        """As `path`, where the graph, or the part of it that is wanted, is at hand."""
        return Path(graph, self._stored, dtype)

    def graph(self, genotype: Genotype) -> Graph:
        """The optimised graph of a path; its parameters are slices of the store.

        Raises:
            SpaceError: the genotype is not in the space.
        """
        path = self._paths.pop(genotype, None)
        if path is None:
            path = self.lower(genotype)
            if len(self._paths) >= CACHED_PATHS:
                self._paths.popitem(last=False)
        self._paths[genotype] = path  # the last used last
        return path

    def lower(self, genotype: Genotype) -> Graph:
        """The graph of a path, made anew; `graph` remembers what it gave.

        Raises:
            SpaceError: the genotype is not in the space.
        """
        if genotype != self.widest and (reason := self.space.violation(genotype)) is not None:
            raise SpaceError(f"the genotype is not in the supernet's space: {reason}")
        if genotype.layer_norm != self.layer_norm:
            raise SpaceError(
                f"the genotype has layer_norm={genotype.layer_norm}, the supernet {self.layer_norm}; they must agree"
            )
        return OPTIMIZE.run(lower_path(genotype, self.space, self.features, self.masking), check_each=False)

    def search_space(self, operators: PerBranch = "single") -> SearchSpace:
        """The genotypes to search: those of the space that the shared weights score best.

        Args:
            operators: `"single"`: one operator in each branch of a block, as in the paths that supernets are trained
                on, whose shared weights are seldom or never trained on sums of several (`nasrec search` and `nasrec
                codesign` search these); `"any"`: all genotypes of the space.

        Raises:
            SpaceError: `operators` is neither.
        """
        if operators not in ("single", "any"):
            raise SpaceError(f"operators must be 'single' or 'any', not {format_value(operators)}")
        return self.space if operators == "any" else replace(self.space, operators_per_branch="single")

    @cached_property
    def widest(self) -> Genotype:
        """The path of all operators and connections at the largest widths, whatever the space caps."""
        return replace(self.space.widest(), layer_norm=self.layer_norm)

    def extract(self, genotype: Genotype) -> CompiledModel:
        """A compiled model of one path with its slice of the shared weights copied in, on their device and precision.

        Raises:
            SpaceError: the genotype is not in the space.
        """
        graph = self.graph(genotype)
        like = next(self.parameters())
        model = compile_graph(graph).to(device=like.device, dtype=like.dtype)
        with torch.no_grad():
            for node in graph:
                for role, ref in node.params:
                    target = model.get_parameter(f"{model.layer_names[node.id]}.{role}")
                    target.copy_(take(self._stored(ref.name), ref))
        return model

    def _stored(self, name: str) -> nn.Parameter:
        """`get_parameter`, which walks the modules for every name, at the price of a look-up."""
        if not self._by_name:
            self._by_name = dict(self.named_parameters())
        return self._by_name[name]

    def _apply(self, *args: Any, **options: Any) -> Supernet:
        """Parameters may be other objects after a move or a change of type."""
        self._by_name = {}
        moved: Supernet = super()._apply(*args, **options)  # type: ignore[no-untyped-call]
        return moved

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_paths": OrderedDict(), "_by_name": {}}


def _put(root: nn.Module, name: str, parameter: nn.Parameter) -> None:
    """Registers a parameter under a dotted name, so that state dicts have the release's keys."""
    *path, last = name.split(".")
    here = root
    for part in path:
        if part not in here._modules:
            here.add_module(part, nn.Module())
        here = here.get_submodule(part)
    here.register_parameter(last, parameter)


def _initial(name: str, shape: tuple[int, ...]) -> nn.Parameter:
    """Initial values as in `nasrec.layers`: Xavier weights, zero biases, norms at identity."""
    tensor = torch.empty(shape)
    if len(shape) == 2:
        draw = nn.init.xavier_normal_ if name.startswith("_embedding.") else nn.init.xavier_uniform_
        return nn.Parameter(draw(tensor) if tensor.numel() else tensor)
    return nn.Parameter(nn.init.ones_(tensor) if name.endswith("weight") else nn.init.zeros_(tensor))
