"""The shipped hardware descriptions."""

from __future__ import annotations

from pathlib import Path

from nasrec_pim.errors import HardwareError

__all__ = ["preset_path", "presets"]

FOLDER = Path(__file__).parent


def presets() -> tuple[str, ...]:
    """Names of the shipped descriptions."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def preset_path(name: str) -> Path:
    """File of a shipped description.

    Raises:
        HardwareError: there is none of this name.
    """
    if name not in presets():
        raise HardwareError(
            f"hardware {name!r:.60} is no preset; choose from {', '.join(presets())}, or give a TOML file"
        )
    return FOLDER / f"{name}.toml"
