"""The reference of all speed ratios: the published NASRec release's way of computing, in plain eager PyTorch.

What makes it the release's way, and slow where sampled widths are narrow or blocks unused:

- every block runs, also those whose output never reaches the logit, and concatenates all four of its inputs whether
  or not an operator reads them;
- a supernet's operators run at full width and multiply by a mask; inputs that a path does not select take part as
  zeros, as does the result of every operator that is not active;
- pairwise dot products are a batched matrix product and a gather by a pair of index tensors, made in each call;
- fields are mixed by transposing, a linear along the last axis, and transposing back;
- attention is `torch.nn.MultiheadAttention`; every table is an `Embedding` with dense gradients, looked up by itself;
- a block's results are stacked and summed.

Modules have the release's parameter names and shapes, which is how the golden logits prove them.

Source: facebookresearch/NasRec at commit 79bf6f9 (facts; the code here is this project's own).
"""

from __future__ import annotations

from benchmarks.release.network import ReleaseSubnet, ReleaseSupernet

__all__ = ["ReleaseSubnet", "ReleaseSupernet"]
