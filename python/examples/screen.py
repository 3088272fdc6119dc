"""A text on the terminal that is drawn over, in colours."""

from __future__ import annotations

import sys

COLOURS = {"red": 31, "green": 32, "yellow": 33, "grey": 90}


class Screen:
    """Draws over its last text; nothing where there is no terminal."""

    def __init__(self) -> None:
        self.there = sys.stdout.isatty()
        self.height = 0

    def draw(self, text: str) -> None:
        """Shows a text in the place of the last one."""
        if self.there:
            back = f"\x1b[{self.height}F\x1b[J" if self.height else ""
            print(back + text, flush=True)
            self.height = text.count("\n") + 1


def coloured(text: str, colour: str) -> str:
    """A text in a colour of `COLOURS`."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"
