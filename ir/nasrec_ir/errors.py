"""The root of the project's exception tree, and the errors of the IR.

A leaf module: every package of the project may import it.
"""

from __future__ import annotations


class NasrecError(Exception):
    """Base of every error that this project raises on purpose.

    The message is one line that says what is wrong, where, and what to do; a caller such as the command line
    can show it without a traceback.
    """


class VerifyError(NasrecError):
    """A graph breaks rules of the IR. `problems` lists every broken rule as (node id or "", message)."""

    def __init__(self, message: str, problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class ParseError(NasrecError):
    """A text is not a graph in the IR's text form; the message names line and column."""


class PassError(NasrecError):
    """A pass of a pipeline failed; the message names the pass and those that ran before it."""


class PruneError(NasrecError):
    """Units cannot leave a graph as asked for; the message names the node."""


class InterpretError(NasrecError):
    """Parameters or inputs given to the interpreter do not fit the graph."""
