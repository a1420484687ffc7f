"""Supernets as files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nasrec import SearchSpace, Supernet
from nasrec.data import Splits
from nasrec.errors import StateDictError
from nasrec.supernet import describe, load, save

MakeNet = Callable[..., Supernet]


@pytest.mark.parametrize("balanced", [True, False])
def test_round_trip(tmp_path: Path, splits: Splits, make_net: MakeNet, balanced: bool) -> None:
    space = SearchSpace.small(2, (16, 32), (16,), max_inputs=1, balanced_dot=balanced)
    net = make_net(space=space, masking="full_width")
    save(net, tmp_path / "supernet.pt")
    found = load(tmp_path / "supernet.pt")
    assert (found.space, found.features, found.masking, found.layer_norm) == (space, net.features, "full_width", True)
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in net.state_dict().items())
    assert all(
        isinstance(parameter, torch.nn.Parameter) and parameter.requires_grad for parameter in found.parameters()
    )
    genotype = space.sample(np.random.default_rng(0))
    dense, sparse, _ = next(iter(splits.valid.batches(4)))
    assert torch.equal(found(dense, sparse, genotype), net(dense, sparse, genotype))


@pytest.mark.parametrize("word", ["full_width", "published"])
def test_the_former_word_for_full_width_is_read_and_written(tmp_path: Path, make_net: MakeNet, word: str) -> None:
    """Files of earlier versions load, and those of this one load there and identify the same runs."""
    net = make_net(masking=word)
    assert net.masking == "full_width" and describe(net)["masking"] == "published"
    save(net, tmp_path / "supernet.pt")
    value = torch.load(tmp_path / "supernet.pt", weights_only=True)
    assert value["masking"] == "published"
    torch.save(value | {"masking": word}, tmp_path / "supernet.pt")
    assert load(tmp_path / "supernet.pt").masking == "full_width"


def test_files_that_are_no_supernet(tmp_path: Path, make_net: MakeNet) -> None:
    path = tmp_path / "supernet.pt"
    save(make_net(), path)
    value = torch.load(path, weights_only=True)

    def refused(message: str, changed: object = None) -> None:
        if changed is not None:
            torch.save(changed, path)
        with pytest.raises(StateDictError, match=message) as caught:
            load(path)
        assert "\n" not in str(caught.value) and "supernet.pt: " in str(caught.value)

    weights = value["weights"]
    refused("is no supernet", {"weights": {}})
    refused("is no supernet", [1])
    refused("version 9 is newer", value | {"version": 9})
    refused("lacks 'masking'", {k: v for k, v in value.items() if k != "masking"})
    refused("masking must be", value | {"masking": "other"})
    refused("a search space has no 'depth'", value | {"space": value["space"] | {"depth": 2}})
    refused("_final.bias is missing", value | {"weights": {k: v for k, v in weights.items() if k != "_final.bias"}})
    refused(r"_final.bias is torch.float32 \[2\]", value | {"weights": weights | {"_final.bias": torch.zeros(2)}})
    refused("the space has no extra", value | {"weights": weights | {"extra": torch.zeros(2)}})
    path.write_bytes(path.read_bytes()[:-200])
    refused("cannot be read")
    path.write_bytes(pickle.dumps(print))
    refused("cannot be read")
    path.unlink()
    refused("no such file")
    with pytest.raises(StateDictError, match="cannot be written"):
        save(make_net(), tmp_path / "nowhere" / "supernet.pt")
