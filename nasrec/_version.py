"""The version of nasrec, below every other module; packaging reads it from here."""

__version__ = "0.1.0"
