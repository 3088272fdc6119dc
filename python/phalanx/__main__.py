"""The `phalanx` program: `python -m phalanx ...`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from .errors import FileError


def program() -> str:
    """The path of the `phalanx` program: the one in this package, else the one on PATH."""
    mine = Path(__file__).parent / "bin" / "phalanx"
    if mine.is_file():
        return str(mine)
    found = shutil.which("phalanx")
    # The script of that name in a virtual environment is this very file.
    if found is not None:
        with open(found, "rb") as file:
            if file.read(4) == b"\x7fELF":
                return found
    raise FileError(
        f"there is no phalanx program in {mine.parent}, nor on PATH: `make install` builds and installs both"
    )


def main() -> None:
    """Becomes the `phalanx` program."""
    try:
        path = program()
    except FileError as e:
        sys.exit(str(e))
    # What it starts for a Python controller: this very interpreter.
    os.environ.setdefault("PHALANX_PYTHON", sys.executable)
    os.execv(path, ["phalanx", *sys.argv[1:]])


if __name__ == "__main__":
    main()
