"""One genotype scored the release's way: a process of its own, which loads the supernet's checkpoint and runs the
masked supernet, every operator at full width.

    python -m benchmarks.release.score FOLDER GENOTYPE.json STEPS BATCH THREADS

FOLDER is what `write` made. STEPS of the final linear come before the score, everything else frozen; 0 for none. Prints
the log loss over the validation rows.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import torch
from torch import optim
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.release.network import ReleaseSupernet
from nasrec import FeatureSpec, Genotype, SearchSpace
from nasrec.data import Log

__all__ = ["write"]

EVALUATED = 4096
"""Rows of a batch without gradients."""


def write(folder: Path, space: SearchSpace, features: FeatureSpec, train: Log, valid: Log) -> None:
    """A checkpoint with random weights, and the rows as tensors, which cost less to read than a log does."""
    torch.manual_seed(0)
    net = ReleaseSupernet(space, features)
    torch.save({"space": space.to_dict(), "features": features.to_dict()}, folder / "shape.pt")
    torch.save(net.state_dict(), folder / "checkpoint.pt")
    for name, log in (("train", train), ("valid", valid)):
        (batch,) = log.reader(len(log)).epoch()
        torch.save(list(batch), folder / f"{name}.pt")


def main() -> None:
    """The program."""
    folder, path = Path(sys.argv[1]), Path(sys.argv[2])
    steps, batch, threads = map(int, sys.argv[3:])
    torch.set_num_threads(threads)
    genotype = Genotype.load(path)
    shape = torch.load(folder / "shape.pt")
    net = ReleaseSupernet(SearchSpace.from_dict(shape["space"]), FeatureSpec.from_dict(shape["features"]))
    net.load_state_dict(torch.load(folder / "checkpoint.pt"))
    net.requires_grad_(False)
    if steps:
        head = [parameter.requires_grad_() for parameter in net._final.parameters()]
        optimizer = optim.Adagrad(head, 0.01)
        dense, sparse, label = torch.load(folder / "train.pt")
        for rows in itertools.islice(torch.arange(len(label)).split(batch), steps):
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(net(dense[rows], sparse[rows], genotype), label[rows]).backward()
            optimizer.step()
    dense, sparse, label = torch.load(folder / "valid.pt")
    with torch.no_grad():
        logits = [net(dense[rows], sparse[rows], genotype) for rows in torch.arange(len(label)).split(EVALUATED)]
    print(binary_cross_entropy_with_logits(torch.cat(logits), label).item())


if __name__ == "__main__":
    main()
