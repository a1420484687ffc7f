"""Every operation in plain PyTorch: the definition of each kernel, its fallback and its oracle.

Shapes: B is the batch (may be 0), f the fields, e the channels of one field's embedding. Floating tensors may
be float32, float64 or bfloat16. Each function traces under `torch.export` with a dynamic batch and exports to
ONNX; shapes apart from B are taken as constants. Operands that do not fit raise `KernelError`.

Sources: NASRec (https://arxiv.org/abs/2207.07187) for the operators of the search space; DLRM
(https://arxiv.org/abs/1906.00091) for the pairwise dot product; xDeepFM (https://arxiv.org/abs/1803.05170)
for the compressed interaction network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nasrec.errors import FeatureError, KernelError

__all__ = [
    "batch_norm",
    "channel_linear",
    "embedding",
    "factorization_machine",
    "field_attention",
    "field_linear",
    "hadamard_pairs",
    "layer_norm",
    "linear",
    "numeric_embedding",
    "pairwise_dot",
    "self_attention",
]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
}


def pairwise_dot(*x: Tensor) -> Tensor:
    """Dot products of all pairs of fields: parts [B, r_p, e] -> [B, r(r-1)/2], r the sum of the r_p.

    The parts' rows in order are the rows of x; the result is the strictly lower triangle of the Gram matrix x x^T,
    row-major: (1,0), (2,0), (2,1), (3,0), ... bfloat16 is accumulated in float32 and rounded once.
    """
    _require(len(x) >= 1, "pairwise_dot", "needs at least one operand")
    for part in x:
        _require(part.dim() == 3, "pairwise_dot", f"x must be [B, r, e], got {_shape(part)}")
    _require(
        same_batch_and_channels(x),
        "pairwise_dot",
        f"operands must agree in batch and channels, got {', '.join(map(_shape, x))}",
    )
    joined = x[0] if len(x) == 1 else torch.cat(x, 1)
    rows = joined.shape[1]
    wide = _widen(joined)
    gram = torch.bmm(wide, wide.transpose(1, 2)).flatten(1)
    below = [i * rows + j for i in range(rows) for j in range(i)]
    return gram.index_select(1, torch.tensor(below, dtype=torch.int64, device=wide.device)).to(joined.dtype)


def same_batch_and_channels(x: Sequence[Tensor]) -> bool:
    """Whether parts [B, r_p, e] can stand below each other."""
    return all(part.dim() == 3 and part.shape[::2] == x[0].shape[::2] for part in x[1:])


def factorization_machine(x: Tensor) -> Tensor:
    """Second-order factorisation machine, per channel: [B, f, e] -> [B, e], (sum)^2 - sum of squares.

    The customary factor 1/2 is left out, as the published models leave it out. bfloat16 is computed in
    float32, since the difference cancels.
    """
    _require(x.dim() == 3, "factorization_machine", f"x must be [B, f, e], got {_shape(x)}")
    wide = _widen(x)
    return (wide.sum(1).square() - wide.square().sum(1)).to(x.dtype)


def self_attention(qkv: Tensor, heads: int, dropout: float = 0.0) -> Tensor:
    """Multi-head attention of the fields over themselves: packed Q, K, V [B, f, 3e] -> [B, f, e].

    Scores are scaled by 1/sqrt(e/heads); there is no mask. Softmax weights are dropped out at the rate `dropout`, by
    torch's global generator. The projections before and after are `channel_linear`, so the two together are
    `torch.nn.MultiheadAttention` with q = k = v.
    """
    _require(
        qkv.dim() == 3 and qkv.shape[2] % 3 == 0,
        "self_attention",
        f"qkv must be [B, f, 3e], got {_shape(qkv)}",
    )
    channels = qkv.shape[2] // 3
    _require(
        heads >= 1 and channels % heads == 0,
        "self_attention",
        f"heads must divide the channels, got {heads} heads and {channels} channels",
    )
    split = qkv.unflatten(2, (3, heads, channels // heads))  # [B, f, 3, heads, e/heads]
    q, k, v = split.permute(2, 0, 3, 1, 4).unbind()  # each [B, heads, f, e/heads]
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(2)


FIELD_ATTENTION_ROLES = (
    "qkv_weight",
    "qkv_bias",
    "out_weight",
    "out_bias",
    "norm1_weight",
    "norm1_bias",
    "fc1_weight",
    "fc1_bias",
    "fc2_weight",
    "fc2_bias",
    "norm2_weight",
    "norm2_bias",
)
"""The parameters of `field_attention`, in order."""


def field_attention(
    x: Tensor, parameters: Sequence[Tensor], heads: int, *, padded: int = 0, eps: float = 1e-5
) -> Tensor:
    """The attention operator behind its field projection (NASRec section 3.1): x [B, f, e] -> [B, f, e].

    norm2(h + W_fc2 relu(W_fc1 h + b_fc1) + b_fc2) with h = norm1(x + W_out attention(W_qkv x + b_qkv) + b_out):
    self-attention of the fields and a feed-forward pair, each with a residual and a layer norm over the channels.

    Args:
        x: the fields.
        parameters: in the order of `FIELD_ATTENTION_ROLES`: qkv_weight [3e, e], qkv_bias [3e], the other weights
            [e, e], their biases and the norms' gains and offsets [e].
        heads: of the attention; they divide e.
        padded: how many all-zero fields stand behind those of x. They are attended to, but give no output.
        eps: of both norms.
    """
    op = "field_attention"
    _require(x.dim() == 3, op, f"x must be [B, f, e], got {_shape(x)}")
    channels = x.shape[2]
    _require(
        heads >= 1 and channels % heads == 0,
        op,
        f"heads must divide the channels, got {heads} heads and {channels} channels",
    )
    _require(padded >= 0, op, f"padded must be at least 0, got {padded}")
    roles = FIELD_ATTENTION_ROLES
    _require(len(parameters) == len(roles), op, f"needs {len(roles)} parameters, got {len(parameters)}")
    p = dict(zip(roles, parameters, strict=True))
    for role, parameter in p.items():
        shape = [3 * channels if role.startswith("qkv") else channels, channels]
        shape = shape if role.endswith("weight") and not role.startswith("norm") else shape[:1]
        _require(
            list(parameter.shape) == shape, op, f"{role} must be {shape} for x {_shape(x)}, got {_shape(parameter)}"
        )

    return attention_operator(x, p, padded, eps, lambda qkv: self_attention(qkv, heads))


def linear(
    inputs: Sequence[Tensor],
    weight: Tensor | Sequence[Tensor],
    bias: Tensor | None = None,
    *,
    norm: tuple[Tensor, Tensor] | None = None,
    eps: float = 1e-5,
    activation: str = "none",
    keep: int | None = None,
) -> Tensor:
    """Linear over several inputs as if concatenated: inputs [B, n_j], weight [out, sum n_j] -> [B, out].

    The weight may be given as pieces [out, k_i] with as many columns in all. Then, in this order and each only if
    asked for: layer norm over the `out` units with (gain, offset), activation (`none`, `relu` or `sigmoid`), and the
    cut to the leading `keep` units.
    """
    x, matrix = _operands("linear", inputs, weight, bias, norm, dims=2)
    y = functional.linear(x, matrix, bias)
    if norm is not None:
        y = layer_norm(y, *norm, axis=1, eps=eps)
    return _keep("linear", _activate("linear", y, activation), keep)


def field_linear(
    inputs: Sequence[Tensor],
    weight: Tensor | Sequence[Tensor],
    bias: Tensor | None = None,
    *,
    norm: tuple[Tensor, Tensor] | None = None,
    eps: float = 1e-5,
    activation: str = "none",
    keep: int | None = None,
) -> Tensor:
    """Linear along the field axis: inputs [B, f_j, e], weight [out, sum f_j], bias [out] -> [B, out, e].

    The same map for every channel (the embedded fully connected operator, NASRec section 3.1). Layer norm, where
    asked for, runs over the `out` fields of each channel; pieces of the weight, activation and `keep` as in `linear`.
    """
    x, matrix = _operands("field_linear", inputs, weight, bias, norm, dims=3)
    y = functional.linear(x.transpose(1, 2), matrix, bias)  # [B, e, out]: the layer norm's own layout
    if norm is not None:
        y = layer_norm(y, *norm, axis=2, eps=eps)
    y = y.transpose(1, 2)
    return _keep("field_linear", _activate("field_linear", y, activation), keep)


def channel_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: str = "none") -> Tensor:
    """Linear over each field's channels, then the activation: x [B, f, e], weight [out, e] -> [B, f, out]."""
    _require(
        x.dim() == 3 and weight.dim() == 2 and x.shape[2] == weight.shape[1],
        "channel_linear",
        f"x [B, f, e] and weight [out, e] do not fit: {_shape(x)} and {_shape(weight)}",
    )
    return _activate("channel_linear", functional.linear(x, weight, bias), activation)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, *, axis: int, eps: float = 1e-5) -> Tensor:
    """Layer norm with biased variance over `axis` (1 or 2) alone, of x [B, n] or [B, f, e].

    weight and bias hold one value for each index of that axis.
    """
    _require(
        axis in (1, 2) and axis < x.dim() <= 3,
        "layer_norm",
        f"axis must be 1 or 2 within {_shape(x)}, got {axis}",
    )
    size = x.shape[axis]
    _require(
        weight.shape == (size,) and bias.shape == (size,),
        "layer_norm",
        f"weight and bias must be [{size}], got {_shape(weight)} and {_shape(bias)}",
    )
    if axis == x.dim() - 1:
        return functional.layer_norm(x, (size,), weight, bias, eps)
    return functional.layer_norm(x.transpose(1, 2), (size,), weight, bias, eps).transpose(1, 2)


def batch_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    axis: int,
    eps: float = 1e-5,
    momentum: float = 0.1,
    training: bool = False,
) -> Tensor:
    """Batch norm of each position of `axis` (1 or 2), of x [B, n] or [B, f, e], all parameters [size of that axis].

    By the running statistics; with `training` by mean and biased variance of the batch, and the running ones move in
    place by `momentum` towards its mean and its unbiased variance. A position with fewer than two values has no
    variance: such a batch is normalised by the running statistics and leaves them as they are.
    """
    _require(
        axis in (1, 2) and axis < x.dim() <= 3,
        "batch_norm",
        f"axis must be 1 or 2 within {_shape(x)}, got {axis}",
    )
    size = x.shape[axis]
    vectors = (weight, bias, running_mean, running_var)
    _require(
        all(vector.shape == (size,) for vector in vectors),
        "batch_norm",
        f"parameters must be [{size}], got {', '.join(map(_shape, vectors))}",
    )
    training = training and size > 0 and x.numel() // size > 1
    x = x.transpose(1, axis)
    y = functional.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    return y.transpose(1, axis)


def hadamard_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Products of all field pairs, per channel: [B, m, e], [B, n, e] -> [B, m*n, e], row i*n + j is a_i b_j.

    The outer products of xDeepFM's compressed interaction network (equation 6), before its field-wise linear.
    """
    _require(
        a.dim() == 3 and b.dim() == 3 and a.shape[2] == b.shape[2],
        "hadamard_pairs",
        f"operands must be [B, m, e] and [B, n, e], got {_shape(a)} and {_shape(b)}",
    )
    return (a.unsqueeze(2) * b.unsqueeze(1)).flatten(1, 2)


def embedding(ids: Tensor, tables: Sequence[Tensor], *, sparse: bool = False) -> Tensor:
    """One row of each table: ids int64 [B, n], tables[j] [rows_j, e] -> [B, n, e].

    An id outside its table raises `FeatureError` naming field and value. The check reads the data, so it is
    left out of traced and exported programs. With `sparse`, gradients of tables are sparse COO tensors that hold
    only the rows looked up; traced programs know only dense ones.
    """
    tracing = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    require_lookup(ids, tables)
    if not (tracing or ids.is_meta):
        require_ids(ids, tables)
    sparse = sparse and not tracing
    rows = [functional.embedding(ids[:, j], table, sparse=sparse) for j, table in enumerate(tables)]
    return torch.stack(rows, dim=1)


def require_lookup(ids: Tensor, tables: Sequence[Tensor]) -> None:
    """Raises `KernelError` unless ids and tables fit each other in shape."""
    _require(
        ids.dim() == 2 and len(tables) >= 1 and ids.shape[1] == len(tables),
        "embedding",
        f"ids must be [B, {len(tables)}], one column for each of at least one table, got {_shape(ids)}",
    )
    _require(
        all(table.dim() == 2 and table.shape[1:] == tables[0].shape[1:] for table in tables),
        "embedding",
        f"tables must be [rows, e] with one e, got {', '.join(map(_shape, tables))}",
    )


def numeric_embedding(x: Tensor, weight: Tensor) -> Tensor:
    """Each number scales its field's vector: x [B, n], weight [n, e] -> [B, n, e], row j is x_j weight_j."""
    _require(
        x.dim() == 2 and weight.dim() == 2 and x.shape[1] == weight.shape[0],
        "numeric_embedding",
        f"x [B, n] and weight [n, e] do not fit: {_shape(x)} and {_shape(weight)}",
    )
    return x.unsqueeze(2) * weight


def attention_operator(
    x: Tensor, p: Mapping[str, Tensor], padded: int, eps: float, attention: Callable[[Tensor], Tensor]
) -> Tensor:
    """`field_attention` with the parameters by role, and with a self-attention of the caller's choice."""
    seen = functional.pad(x, (0, 0, 0, padded)) if padded else x
    mixed = attention(channel_linear(seen, p["qkv_weight"], p["qkv_bias"]))[:, : x.shape[1]]
    out = channel_linear(mixed, p["out_weight"], p["out_bias"])
    h = layer_norm(x + out, p["norm1_weight"], p["norm1_bias"], axis=2, eps=eps)
    hidden = channel_linear(h, p["fc1_weight"], p["fc1_bias"], activation="relu")
    out = channel_linear(hidden, p["fc2_weight"], p["fc2_bias"])
    return layer_norm(h + out, p["norm2_weight"], p["norm2_bias"], axis=2, eps=eps)


def _operands(
    op: str,
    inputs: Sequence[Tensor],
    weight: Tensor | Sequence[Tensor],
    bias: Tensor | None,
    norm: tuple[Tensor, Tensor] | None,
    *,
    dims: int,
) -> tuple[Tensor, Tensor]:
    """The inputs joined along axis 1, and the weight's pieces joined; all held against each other."""
    layout = "[B, n]" if dims == 2 else "[B, f, e]"
    _require(len(inputs) >= 1, op, "needs at least one input")
    shapes = ", ".join(map(_shape, inputs))
    _require(all(x.dim() == dims for x in inputs), op, f"inputs must be {layout}, got {shapes}")
    _require(
        all(x.shape[0] == inputs[0].shape[0] and x.shape[2:] == inputs[0].shape[2:] for x in inputs),
        op,
        f"inputs must agree in all but axis 1, got {shapes}",
    )
    pieces = [weight] if isinstance(weight, Tensor) else list(weight)
    _require(len(pieces) >= 1, op, "needs at least one piece of the weight")
    columns = sum(x.shape[1] for x in inputs)
    _require(
        all(w.dim() == 2 and w.shape[0] == pieces[0].shape[0] for w in pieces)
        and sum(w.shape[1] for w in pieces) == columns,
        op,
        f"weight must be [out, {columns}] for inputs {shapes}, got {', '.join(map(_shape, pieces))}",
    )
    gain, offset = norm or (None, None)
    out = pieces[0].shape[0]
    for name, vector in (("bias", bias), ("norm_weight", gain), ("norm_bias", offset)):
        if vector is not None:
            _require(vector.shape == (out,), op, f"{name} must be [{out}], got {_shape(vector)}")
    return _join(inputs), _join(pieces)


def _join(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors), dim=1)


def _activate(op: str, x: Tensor, activation: str) -> Tensor:
    _require(
        activation in _ACTIVATIONS,
        op,
        f"activation must be one of {', '.join(_ACTIVATIONS)}, got {activation!r}",
    )
    return _ACTIVATIONS[activation](x)


def _keep(op: str, x: Tensor, keep: int | None) -> Tensor:
    if keep is None:
        return x
    _require(0 <= keep <= x.shape[1], op, f"keep must lie in 0..{x.shape[1]}, got {keep}")
    return x[:, :keep]


def require_ids(ids: Tensor, tables: Sequence[Tensor]) -> None:
    """Raises `FeatureError` about the first id of ids [B, n] that lies outside its table."""
    rows = torch.tensor([table.shape[0] for table in tables], device=ids.device)
    wrong = (ids < 0) | (ids >= rows)
    if bool(wrong.any()):
        sample, field = wrong.nonzero()[0].tolist()
        raise wrong_id(field, int(ids[sample, field]), sample, tables[field].shape[0])


def wrong_id(field: int, value: int, sample: int, rows: int) -> FeatureError:
    """What is said of an id outside its table."""
    return FeatureError(
        f"sparse field {field} holds id {value} in row {sample} of the batch, but its "
        f"table has {rows} rows (ids 0 to {rows - 1}); raise the field's cardinality or hash the id"
    )


def _widen(x: Tensor) -> Tensor:
    """The type in which sums are accumulated."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _require(condition: bool, op: str, message: str) -> None:
    if not condition:
        raise KernelError(f"{op}: {message}")


def _shape(x: Tensor) -> str:
    return str(list(x.shape))
