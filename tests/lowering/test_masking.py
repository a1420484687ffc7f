"""The words for a supernet's masking: today's, and the former one that files and users may still say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nasrec_ir
from nasrec import FeatureSpec, SearchSpace
from nasrec.errors import SpaceError
from nasrec.lowering.masking import MASKINGS, current_word, masking_of, written_word
from nasrec.lowering.store import lower_path, store_parameters

SPACE = SearchSpace.full(2, dense_dims=(16, 32), sparse_dims=(16, 32))
FEATURES = FeatureSpec(num_dense=3, cardinalities=[5, 6], embedding_dim=8)


def test_words() -> None:
    assert MASKINGS == ("full_width", "sliced")
    assert [masking_of(word) for word in ("full_width", "published", "sliced")] == [
        "full_width",
        "full_width",
        "sliced",
    ]
    assert [written_word(masking) for masking in MASKINGS] == ["published", "sliced"]
    assert all(masking_of(written_word(masking)) == masking for masking in MASKINGS)
    assert [current_word(word) for word in ("published", "sliced", "other")] == ["full_width", "sliced", "other"]


@pytest.mark.parametrize("wrong", ["other", "", None, ["sliced"], 1])
def test_other_words_are_refused(wrong: Any) -> None:
    genotype = SPACE.sample(np.random.default_rng(0))
    for name in (masking_of, lambda word: lower_path(genotype, SPACE, FEATURES, word)):
        with pytest.raises(SpaceError, match="masking must be 'full_width' or 'sliced', not "):
            name(wrong)


def test_the_former_word_lowers_alike() -> None:
    former: Any = "published"
    genotype = SPACE.sample(np.random.default_rng(0))
    graphs = [nasrec_ir.dump(lower_path(genotype, SPACE, FEATURES, word)) for word in (former, "full_width", "sliced")]
    assert graphs[0] == graphs[1] != graphs[2]
    stores = [store_parameters(SPACE, FEATURES, word) for word in (former, "full_width")]
    assert stores[0] == stores[1]
