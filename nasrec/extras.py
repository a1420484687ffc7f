"""Packages that only some functions need: what for, and the command that installs each.

The extras are those of pyproject.toml, so that one command serves who installed a wheel and who works in a checkout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["OPTIONAL", "OptionalPackage", "install_command", "is_checkout"]

TORCHREC = "pip install --no-deps torchrec==1.8.0 fbgemm-gpu-cpu==1.8.0"
"""Of TorchRec itself: with its dependencies pip would take another torch, and FBGEMM for CUDA."""


@dataclass(frozen=True)
class OptionalPackage:
    """A package that not everyone needs.

    Attributes:
        extra: of nasrec, that brings the package or, for TorchRec, what it needs.
        purpose: what it is for, in a few words.
    """

    extra: str
    purpose: str


OPTIONAL = {
    "onnx": OptionalPackage("onnx", "ONNX export"),
    "onnxruntime": OptionalPackage("onnx", "check of ONNX files"),
    "onnxscript": OptionalPackage("onnx", "ONNX export"),
    "pymoo": OptionalPackage("pareto", "search of several objectives"),
    "ray": OptionalPackage("ray", "search on a Ray cluster"),
    "safetensors": OptionalPackage("safetensors", "weights in .safetensors files"),
    "shtab": OptionalPackage("completion", "completion of commands in a shell"),
    "tensorboard": OptionalPackage("tensorboard", "curves of a training run for TensorBoard"),
    "torchrec": OptionalPackage("torchrec", "embedding tables spread over processes"),
}
"""By the name that is imported."""


def install_command(package: str) -> str:
    """What to type where an optional package is missing.

    Raises:
        KeyError: it is none of `OPTIONAL`.
    """
    command = f"pip install 'nasrec[{OPTIONAL[package].extra}]'"
    return f"{command} && {TORCHREC}" if package == "torchrec" else command


def is_checkout() -> bool:
    """Whether this code runs from its source tree, where the extension can be built."""
    return (Path(__file__).resolve().parents[1] / "csrc" / "library.cpp").is_file()
