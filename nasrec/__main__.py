"""`python -m nasrec` is the command line."""

from __future__ import annotations

import sys

from nasrec.cli import main

if __name__ == "__main__":
    sys.exit(main())
