"""What is printed of a prepared folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.reports import text as output

if TYPE_CHECKING:
    from nasrec.data import Manifest

__all__ = ["prepared"]


def prepared(manifest: Manifest, folder: Path) -> str:
    """Parts, columns, where the rows came from, and which of them were left out."""
    train = manifest.parts["train"].rows
    parts = [
        [name, f"{part.rows:,}", f"{part.clicks / max(1, part.rows):.4f}", f"{len(part.files):,}",
         f"{sum(file.bytes for file in part.files) / 2**20:,.1f}"]
        for name, part in manifest.parts.items()
    ]  # fmt: skip
    columns = [
        [column.name, f"{column.rows:,}", f"{column.distinct:,}", f"{column.unknown / train:.2%}"]
        for column in manifest.columns
    ]
    blocks = [
        f"{folder}: {manifest.title}, {output.plural(manifest.rows, 'row')}",
        output.table(("part", "rows", "click rate", "files", "MiB"), parts),
        f"{len(manifest.dense)} dense columns{': ' if manifest.dense else ''}{', '.join(manifest.dense)}",
        output.table(("categorical", "table rows", "distinct texts", "without an id"), columns),
        "\n".join([*map(_source, manifest.sources), *_bad_rows(manifest), f"checksum {manifest.checksum}"]),
    ]
    return "\n\n".join(blocks)


def _source(source: Mapping[str, Any]) -> str:
    digest = f", SHA-256 {source['sha256'][:16]}..." if source.get("sha256") else ""
    return f"from {source['path']} ({source['rows']:,} rows{digest})"


def _bad_rows(manifest: Manifest) -> list[str]:
    found = manifest.bad_rows
    if not found["count"]:
        return []
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found["kinds"].items())
    return [
        f"{output.plural(found['count'], 'bad row')} left out ({kinds}):",
        *(f"  {line}" for line in found["first"]),
    ]
