"""Graph -> PyTorch source: one module class, one line a node, made to be read and reviewed. Text only, no torch.

Nothing in a graph reaches the source but identifiers (checked by the verifier, made unique here) and numbers.
"""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from nasrec_ir.cost import cost
from nasrec_ir.graph import Graph, Node
from nasrec_ir.layout import LINE_WIDTH, commented, docstring, wrapped
from nasrec_ir.ops import attributes
from nasrec_ir.verify import verify

__all__ = ["Source", "generate"]


class Source(NamedTuple):
    """Generated source.

    Attributes:
        text: the module's text.
        class_name: the class that it defines.
        members: name of the layer of each node that has one, by node id.
    """

    text: str
    class_name: str
    members: Mapping[str, str]


class Line(NamedTuple):
    """What a node becomes: the layer made for it, if it needs one, and the expression that computes it."""

    layer: str | None
    expression: str


def generate(graph: Graph) -> Source:
    """The source of a `torch.nn.Module` that computes an executable graph; equal graphs give equal text.

    Raises:
        VerifyError: the graph is not executable.
    """
    verify(graph, "executable")
    names = _Names(graph)
    inits: list[str] = []
    body: list[tuple[str, str]] = []
    members: dict[str, str] = {}
    uses: set[str] = set()
    for node in graph:
        if node.op == "input":
            continue
        operands = [names.local[operand] for operand in node.inputs]
        line = EMIT.get(node.op, _kernel)(_Context(graph, node, attributes(node), operands, names))
        expression = line.expression
        if line.layer is not None:
            members[node.id] = names.local[node.id]
            inits += wrapped(f"self.{members[node.id]} = ", line.layer, 8)
            expression = f"self.{members[node.id]}({', '.join(operands)})"
        uses |= set(MODULES.findall(f"{line.layer} {expression}"))
        body.append((f"{names.local[node.id]} = {expression}", _shape(node)))
    text = _assemble(graph, names, inits, body, uses)
    return Source(text, names.class_name, members)


MODULES = re.compile(r"(?<![\w.])(torch|kernels|layers)\.", re.ASCII)
"""What an expression may use besides `nn`; no local has such a name."""


class _Context(NamedTuple):
    graph: Graph
    node: Node
    attrs: Mapping[str, Any]
    operands: Sequence[str]
    names: _Names

    def size(self, operand: int, axis: int) -> int:
        return self.graph[self.node.inputs[operand]].type.shape[axis - 1]


class _Names:
    """Python names: one for each node, none that shadows what the source itself uses."""

    def __init__(self, graph: Graph) -> None:
        self.class_name = _class_name(graph.name)
        taken = {"self", "torch", "nn", "kernels", "layers", "Tensor", "forward", self.class_name}
        taken |= MODULE_ATTRIBUTES | set(keyword.kwlist) | set(dir(builtins))
        self.local: dict[str, str] = {}
        for node in graph:
            wanted = node.id.replace(".", "_")
            if wanted.startswith("_"):  # private names are those of nn.Module
                wanted = f"node{wanted}"
            name, number = wanted, 2
            while name in taken:
                name = f"{wanted}_{number}"
                number += 1
            taken.add(name)
            self.local[node.id] = name


def _class_name(graph_name: str) -> str:
    name = "".join(part.capitalize() for part in re.split(r"[_.]+", graph_name))
    reserved = {"Tensor", *keyword.kwlist, *dir(builtins)}
    return name[:60] if name.isidentifier() and name not in reserved else f"Model{name[:60]}"


# Attributes of torch.nn.Module that a layer's name must not hide.
MODULE_ATTRIBUTES = frozenset(
    """T_destination add_module apply bfloat16 bool buffers call_super_init children compile cpu cuda double
    dump_patches eval extra_repr float get_buffer get_extra_state get_parameter get_submodule graph half ipu
    layer_names load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
    register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory source state_dict to
    to_empty train training type xpu zero_grad""".split()  # noqa: SIM905  (a list of 50 literals reads worse)
)


def _assemble(
    graph: Graph, names: _Names, inits: Sequence[str], body: Sequence[tuple[str, str]], uses: set[str]
) -> str:
    total = cost(graph)
    arguments = [(names.local[node.id], node.type) for node in graph.inputs]
    signature = ", ".join(["self", *(f"{name}: Tensor" for name, _ in arguments)])
    returns = " -> Tensor:"
    header = wrapped("def ", f"forward({signature})", 4, LINE_WIDTH - len(returns))
    takes = ", ".join(f"{name} {_words(type.dtype)} {_sizes(type.shape)}" for name, type in arguments)
    imports = ["import torch"] if "torch" in uses else []
    imports += ["from torch import Tensor, nn"]
    ours = sorted(uses & {"kernels", "layers"})
    imports += ["", f"from nasrec import {', '.join(ours)}"] if ours else []
    dense = total.parameters - total.embedding_parameters
    summary = (
        f"{names.class_name}: {total.macs:,} multiply-accumulates per sample; {dense:,} parameters and"
        f" {total.embedding_parameters:,} in embedding tables."
    )
    lines = [
        *textwrap.wrap(f'"""{summary}', LINE_WIDTH),
        "",
        "Generated by nasrec. Comments give the shape of each value; B is the batch.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        *imports,
        "",
        "",
        f"class {names.class_name}(nn.Module):",
        *docstring(f"{takes} -> {_sizes(graph.type.shape)}.", 4),
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
        *inits,
        "",
        *header[:-1],
        header[-1] + returns,
        *commented(body, 8),
        f"        return {names.local[graph.output]}",
        "",
    ]
    return "\n".join(lines)


def _words(dtype: str) -> str:
    return "float" if dtype == "f32" else "int64"


def _sizes(shape: Sequence[int]) -> str:
    return f"[{', '.join(['B', *map(str, shape)])}]"


def _shape(node: Node) -> str:
    return _sizes(node.type.shape)


def _tuple(sizes: Sequence[int]) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"


def _options(**options: Any) -> str:
    """Keyword arguments that differ from the layers' defaults."""
    given = {key: value for key, value in options.items() if value != LAYER_DEFAULTS[key]}
    return "".join(f", {key}={_literal(value)}" for key, value in given.items())


LAYER_DEFAULTS: Mapping[str, Any] = {
    "act_bits": None,
    "activation": "none",
    "axis": 1,
    "bias": False,
    "eps": 1e-5,
    "keep": None,
    "momentum": 0.1,
    "norm": False,
    "padded": 0,
    "per_tensor": False,
    "static_scale": False,
    "weight_bits": None,
}


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


# Emitters: one a row of the op table ----------------------------------------------------------------------------


def _product(layer: str) -> Callable[[_Context], Line]:
    def emit(c: _Context) -> Line:
        sizes = _tuple([c.size(i, 1) for i in range(len(c.operands))])
        picked = {key: c.attrs[key] for key in ("norm", "eps", "activation", "keep")}
        options = _options(bias=c.node.param("bias") is not None, **picked, **_precision(c))
        return Line(f"layers.{layer}({sizes}, {c.attrs['out']}{options})", "")

    return emit


def _precision(c: _Context) -> dict[str, Any]:
    static = c.node.param("act_scale") is not None
    return {key: c.attrs[key] for key in ("weight_bits", "act_bits", "per_tensor")} | {"static_scale": static}


def _channel_linear(c: _Context) -> Line:
    options = _options(bias=c.node.param("bias") is not None, activation=c.attrs["activation"], **_precision(c))
    return Line(f"layers.ChannelLinear({c.size(0, 2)}, {c.attrs['out']}{options})", "")


def _field_attention(c: _Context) -> Line:
    picked = {key: c.attrs[key] for key in ("padded", "eps", "weight_bits", "per_tensor")}
    options = _options(**picked)
    return Line(f"layers.FieldAttention({c.size(0, 2)}, heads={c.attrs['heads']}{options})", "")


def _layer_norm(c: _Context) -> Line:
    options = _options(axis=c.attrs["axis"], eps=c.attrs["eps"])
    return Line(f"layers.LayerNorm({c.size(0, c.attrs['axis'])}{options})", "")


def _batch_norm(c: _Context) -> Line:
    options = _options(axis=c.attrs["axis"], eps=c.attrs["eps"], momentum=c.attrs["momentum"])
    return Line(f"layers.BatchNorm({c.size(0, c.attrs['axis'])}{options})", "")


def _self_attention(c: _Context) -> Line:
    heads, dropout = c.attrs["heads"], c.attrs["dropout"]
    if dropout:  # what training does differently needs a layer, which knows the mode
        return Line(f"layers.SelfAttention(heads={heads}, dropout={dropout})", "")
    return Line(None, f"kernels.self_attention({c.operands[0]}, heads={heads})")


def _embedding(c: _Context) -> Line:
    rows = _tuple([ref.view_shape[0] for _, ref in c.node.params])
    return Line(f"layers.Embedding({rows}, {c.attrs['dim']})", "")


def _numeric_embedding(c: _Context) -> Line:
    return Line(f"layers.NumericEmbedding({c.size(0, 1)}, {c.attrs['dim']})", "")


def _slice(c: _Context) -> Line:
    start, stop = c.attrs["start"] or "", c.attrs["stop"]
    return Line(None, f"{c.operands[0]}[:, {start}:{stop}]")


def _pad(c: _Context) -> Line:
    before, size = c.attrs["before"], c.attrs["size"]
    after = size - before - c.size(0, 1)
    channels = (0, 0) * (len(c.node.type.shape) - 1)
    return Line(None, f"nn.functional.pad({c.operands[0]}, {_tuple((*channels, before, after))})")


def _zeros(c: _Context) -> Line:
    sizes = ", ".join(map(str, c.node.type.shape))
    first = next((node for node in c.graph.inputs if node.type.dtype == "f32"), c.graph.inputs[0])
    name = c.names.local[first.id]
    dtype = "" if first.type.dtype == "f32" else ", dtype=torch.get_default_dtype()"
    return Line(None, f"{name}.new_zeros(({name}.shape[0], {sizes}){dtype})")


def _reshape(c: _Context) -> Line:
    before, shape = c.graph[c.node.inputs[0]].type.shape, c.node.type.shape
    x = c.operands[0]
    if not shape:
        return Line(None, f"{x}.squeeze(1)" if len(before) == 1 else f"{x}.reshape(-1)")
    if not before:
        return Line(None, f"{x}.reshape({', '.join(map(str, (-1, *shape)))})")
    flat = x if len(before) == 1 else f"{x}.flatten(1)"
    return Line(None, flat if len(shape) == 1 else f"{flat}.unflatten(1, {_tuple(shape)})")


def _kernel(c: _Context) -> Line:
    """Any other op, which has no parameters: the kernel of its name, given operands, then attributes."""
    options = [f"{key}={_literal(value)}" for key, value in c.attrs.items()]
    return Line(None, f"kernels.{c.node.op}({', '.join([*c.operands, *options])})")


EMIT: dict[str, Callable[[_Context], Line]] = {
    "embedding": _embedding,
    "numeric_embedding": _numeric_embedding,
    "linear": _product("Linear"),
    "field_linear": _product("FieldLinear"),
    "channel_linear": _channel_linear,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "dropout": lambda c: Line(f"nn.Dropout({c.attrs['rate']})", ""),
    "field_attention": _field_attention,
    "relu": lambda c: Line(None, f"torch.relu({c.operands[0]})"),
    "sigmoid": lambda c: Line(None, f"torch.sigmoid({c.operands[0]})"),
    "scale": lambda c: Line(None, f"{c.attrs['factor']} * {c.operands[0]}"),
    "add": lambda c: Line(None, " + ".join(c.operands)),
    "mul": lambda c: Line(None, " * ".join(c.operands)),
    "slice": _slice,
    "take": lambda c: Line(f"layers.Take({', '.join(map(str, c.attrs['positions']))})", ""),
    "pad": _pad,
    "concat": lambda c: Line(None, f"torch.cat(({', '.join(c.operands)}{',' * (len(c.operands) == 1)}), dim=1)"),
    "zeros": _zeros,
    "reshape": _reshape,
    "sum": lambda c: Line(None, f"{c.operands[0]}.sum(dim={c.attrs['axis']})"),
    "self_attention": _self_attention,
}
"""Ops that are more than a call of the kernel of their name: those with parameters, with a layer, or of torch's own."""
