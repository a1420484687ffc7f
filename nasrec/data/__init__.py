"""Click logs: raw files to prepared rows, on disk or in memory, and synthetic logs in the manner of public data sets.

prepare(["train.txt"], "criteo")       # bounded memory, whatever the size of the file
data = open("criteo")                  # memory-mapped
data.features(16), data.train, data.valid, data.test
prepare_frame(frame, "click", "mine")  # a pandas DataFrame
Encoder.of("mine").encode(new_frame)   # (dense, sparse) of rows that come later
"""

from __future__ import annotations

from nasrec.data.dataset import Batch, BatchSource, ClickLog, Log, Splits
from nasrec.data.encode import Encoder
from nasrec.data.frame import Columns, infer_columns, prepare_frame
from nasrec.data.logs import load_logs
from nasrec.data.manifest import Manifest
from nasrec.data.options import Options
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared, PreparedLog, is_prepared
from nasrec.data.prepared import open_folder as open
from nasrec.data.reader import Reader
from nasrec.data.schema import Schema
from nasrec.data.synthetic import SyntheticLog, synthesize, teacher_score
from nasrec.data.synthetic.writer import write_criteo_tsv
from nasrec.data.vocabulary import Vocabulary

__all__ = [
    "Batch",
    "BatchSource",
    "ClickLog",
    "Columns",
    "Encoder",
    "Log",
    "Manifest",
    "Options",
    "Prepared",
    "PreparedLog",
    "Reader",
    "Schema",
    "Splits",
    "SyntheticLog",
    "Vocabulary",
    "infer_columns",
    "is_prepared",
    "load_logs",
    "open",
    "prepare",
    "prepare_frame",
    "synthesize",
    "teacher_score",
    "write_criteo_tsv",
]
