"""The options of a quantisation: bits of every product, calibration, and the training in these bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from nasrec.checks import format_value, integer
from nasrec.errors import QuantError
from nasrec.genotype import MAX_BITS, MIN_BITS, Precision
from nasrec.quant.scheme import Scheme
from nasrec.quant.settings import METHODS, Calibration
from nasrec.runs.options import TrainOptions

__all__ = ["FLOAT", "OWN", "KindBits", "QuantizeOptions", "parse_bits", "parse_kinds"]

FLOAT = "float"
"""How settings say that there are no bits."""

OWN = ("weight_bits", "act_bits", "per_tensor", "calibrate", "percentile", "calibration_rows", "bits")
"""Settings of a quantisation alone."""

KindBits: TypeAlias = int | Precision | None
"""Bits of the matrices of a kind of product, or of these and of their activations; None for floats."""


@dataclass(frozen=True)
class QuantizeOptions:
    """How `nasrec.runs.quantize` quantises.

    Attributes:
        weight_bits: of matrices, 2 to 16; None for floats.
        act_bits: of what they multiply, 2 to 16; None for floats.
        bits: of some kinds of product, such as `{"fc": 8, "efc": (4, 6), "final": None}`, or of single ones by their
            node's id, see `nasrec.quant.Scheme.kinds`. Other products that have bits already keep those.
        per_tensor: one scale for a matrix instead of one for each of its rows.
        calibration: range of activations: "max", "percentile" or "mse", see `nasrec.quant.Calibration`.
        percentile: of magnitudes, for that method.
        calibration_rows: training rows to look at.
        train: of the training in these bits, with the weights to start from; None: as the run that the model is of was
            trained, or the defaults. With weights to start from and no `lr`, a tenth of the usual rate.
        trains: whether the model is trained in these bits; None: where `train` is given.
        insist: refuse bits that would change nothing, as all products have their own; None: where they are not 8.
        fresh: remove what earlier runs left in the folder, and begin anew.

    Raises:
        QuantError: a value is out of range; the message names the field.
    """

    weight_bits: int | None = 8
    act_bits: int | None = 8
    bits: Mapping[str, KindBits] = field(default_factory=dict)
    per_tensor: bool = False
    calibration: str = "mse"
    percentile: float = 99.99
    calibration_rows: int = 8192
    train: TrainOptions | None = None
    trains: bool | None = None
    insist: bool | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        if type(self.calibration_rows) is not int or self.calibration_rows < 1:
            wrong = format_value(self.calibration_rows)
            raise QuantError(f"calibration_rows must be a whole number of at least 1, not {wrong}")
        if type(self.per_tensor) is not bool:
            raise QuantError(f"per_tensor must be true or false, not {format_value(self.per_tensor)}")
        _ = self.scheme, self.calibration_settings  # which look at the other values
        if self.train is not None:
            if self.train.seeds > 1:
                raise QuantError("--seeds (train.seeds) is for 'nasrec train'; quantise one of its runs at a time")
            for name, unset in (("fresh", False), ("tune", None)):
                if getattr(self.train, name) != unset:
                    raise QuantError(f"train must leave {name} out; a quantisation has none, or one of its own")

    @classmethod
    def from_settings(cls, values: Mapping[str, Any], **more: Any) -> QuantizeOptions:
        """The typed form of settings, see `nasrec.runs.settings`; what is absent takes its default.

        Raises:
            QuantError: one is of the wrong type or out of range.
        """
        given = {name: values[name] for name in ("per_tensor", "percentile", "calibration_rows") if name in values}
        parsers = {"weight_bits": parse_bits, "act_bits": parse_bits, "bits": parse_kinds}
        given |= {name: _parsed(values, name, parse) for name, parse in parsers.items() if name in values}
        if "calibrate" in values:
            if values["calibrate"] not in METHODS:
                known = ", ".join(METHODS)
                raise QuantError(f"calibrate must be one of {known}, not {format_value(values['calibrate'])}")
            given["calibration"] = values["calibrate"]
        return cls(**given, **more)

    def settings(self) -> dict[str, Any]:
        """The same for config.toml."""
        found: dict[str, Any] = {
            "weight_bits": _bits_text(self.weight_bits),
            "act_bits": _bits_text(self.act_bits),
            "per_tensor": self.per_tensor,
            "calibrate": self.calibration,
            "percentile": self.percentile,
            "calibration_rows": self.calibration_rows,
        }
        if self.bits:
            found["bits"] = ",".join(f"{kind}={_kind_text(bits)}" for kind, bits in self.bits.items())
        return found

    @property
    def trained(self) -> bool:
        """Is the model trained in these bits, and not calibrated alone?"""
        return self.train is not None if self.trains is None else self.trains

    @property
    def scheme(self) -> Scheme:
        """The bits of every product. Raises `QuantError` where one is out of range."""
        kinds = {}
        for kind, bits in self.bits.items():
            both = bits if isinstance(bits, tuple) else (bits, self.act_bits)
            if len(both) != 2:
                raise QuantError(
                    f"bits of {kind} must be those of weights, or (weights, activations), not {bits!r:.40}"
                )
            kinds[kind] = both
        return Scheme(self.weight_bits, self.act_bits, kinds, self.per_tensor)

    @property
    def calibration_settings(self) -> Calibration:
        """The calibration's settings. Raises `QuantError` where one is out of range."""
        return Calibration(self.calibration, self.percentile, self.calibration_rows)

    @property
    def insists(self) -> bool:
        """Are bits refused that would change nothing?"""
        if self.bits:
            return False
        return (self.weight_bits, self.act_bits) != (8, 8) if self.insist is None else self.insist


def parse_bits(value: object) -> int | None:
    """The bits that a setting or a word of the command line says; None for floats.

    Raises:
        QuantError: it is neither a whole number in range nor the word float.
    """
    if value == FLOAT:
        return None
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else integer(value)
    if number is None or not MIN_BITS <= number <= MAX_BITS:
        wrong = format_value(value)
        raise QuantError(f"{wrong} is neither a whole number from {MIN_BITS} to {MAX_BITS} nor the word {FLOAT}")
    return number


def parse_kinds(text: object) -> dict[str, KindBits]:
    """Bits of kinds of product, from a text such as `fc=8,efc=4/6,final=float`.

    Raises:
        QuantError: it is no such text.
    """
    if not isinstance(text, str):
        raise QuantError(f"{format_value(text)} is no text such as fc=8,efc=4/6,final=float")
    found: dict[str, KindBits] = {}
    for part in text.split(","):
        kind, given, bits = part.partition("=")
        if not kind or not given or kind in found:
            raise QuantError(f"{format_value(part)} is no KIND=W or KIND=W/A, each kind once")
        weight, both, act = bits.partition("/")
        try:
            found[kind] = (parse_bits(weight), parse_bits(act)) if both else parse_bits(weight)
        except QuantError as error:
            raise QuantError(f"{format_value(part)}: {error}") from None
    return found


def _parsed(values: Mapping[str, Any], name: str, parse: Callable[[Any], Any]) -> Any:
    try:
        return parse(values[name])
    except QuantError as error:
        raise QuantError(f"{name}: {error}") from None


def _bits_text(bits: int | None) -> int | str:
    return FLOAT if bits is None else bits


def _kind_text(bits: KindBits) -> str:
    return "/".join(str(_bits_text(one)) for one in (bits if isinstance(bits, tuple) else (bits,)))
