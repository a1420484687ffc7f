"""Ways to train supernets: folders and traits are called as in earlier studies, which so go on."""

from __future__ import annotations

from typing import Any

import pytest

from nasrec.errors import SpaceError
from nasrec.rank.study import Variant, matrix


@pytest.mark.parametrize("word", ["full_width", "published"])
def test_names_and_traits_keep_the_former_word(word: Any) -> None:
    variant = Variant(masking=word, seed=2)
    assert variant == Variant(seed=2) and variant.masking == "full_width"
    assert variant.name == "single-operator-any-connection-published-seed-2"
    assert variant.traits == {
        "paths": "single-operator-any-connection",
        "masking": "published",
        "dot-product": "balanced",
        "seed": 2,
    }


def test_a_matrix_holds_both_maskings() -> None:
    assert {variant.masking for variant in matrix()} == {"sliced", "full_width"}
    with pytest.raises(SpaceError, match="masking must be"):
        Variant(masking="masked")  # type: ignore[arg-type]
