"""Layout of generated Python: statements with a column of comments, wrapped where they would be too long."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

__all__ = ["LINE_WIDTH", "commented", "docstring", "filled", "wrapped"]

LINE_WIDTH = 110

CALL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\(", re.ASCII)


def commented(statements: Sequence[tuple[str, str]], indent: int) -> list[str]:
    """Assignments, each with its comment: in one column where they fit, else behind the last line."""
    room = LINE_WIDTH - indent
    short = [len(code) for code, comment in statements if len(code) + len(comment) + 4 <= room]
    column = min(max(short, default=0), room - 32)
    lines: list[str] = []
    for code, comment in statements:
        line = f"{' ' * indent}{code.ljust(column)}  # {comment}"
        if len(line) > LINE_WIDTH:
            line = f"{' ' * indent}{code}  # {comment}"
        if len(line) <= LINE_WIDTH:
            lines.append(line)
            continue
        head, _, rest = code.partition(" = ")
        first, *between, last = wrapped(f"{head} = ", rest, indent, room=0)
        lines += [first, *between, f"{last}  # {comment}"]
    return lines


def wrapped(head: str, expression: str, indent: int, room: int = LINE_WIDTH) -> list[str]:
    """A statement; where it is longer than `room`, what stands in its parentheses gets lines of its own.

    The expression is one call, or terms joined by + or *, which are put into parentheses then.
    """
    line = f"{' ' * indent}{head}{expression}"
    if len(line) <= room:
        return [line]
    opening = CALL.match(expression)
    if opening and _closes_at_end(expression, opening.end() - 1):
        call, inner = opening.group(), expression[opening.end() : -1]
        pieces = re.split(r"(?<=,) ", inner)
    else:
        call, pieces = "(", re.split(r" (?=[+*] )", expression)
    return [f"{' ' * indent}{head}{call}", *filled(pieces, indent + 4), f"{' ' * indent})"]


def filled(pieces: Iterable[str], indent: int) -> list[str]:
    """Pieces in order, as many on a line as fit."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + 1 + len(piece) <= LINE_WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(" " * indent + piece)
    return lines


def docstring(text: str, indent: int) -> list[str]:
    """A one-paragraph docstring."""
    margin = " " * indent
    if len(text) + indent + 6 <= LINE_WIDTH:
        return [f'{margin}"""{text}"""']
    lines = textwrap.wrap(text, LINE_WIDTH - indent - 3, break_long_words=False, break_on_hyphens=False)
    return [f'{margin}"""{lines[0]}', *(margin + line for line in lines[1:]), f'{margin}"""']


def _closes_at_end(expression: str, opening: int) -> bool:
    """Whether the bracket at `opening` closes with the expression's last character."""
    depth = 0
    for position in range(opening, len(expression)):
        depth += {"(": 1, ")": -1}.get(expression[position], 0)
        if depth == 0:
            return position == len(expression) - 1
    return False
