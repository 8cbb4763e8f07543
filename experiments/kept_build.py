"""Carry the unfinished build of a benchmark to another machine.

    python experiments/kept_build.py save clutter-nb201.runs clutter-nb201.build.xz
    python experiments/kept_build.py restore clutter-nb201.build.xz clutter-nb201.runs

A build may be running while it is saved. Of a restored one, `foretell benchmark build` goes on.
"""

import argparse
import lzma
import sqlite3
import tempfile
from pathlib import Path

DATABASE = "study.db"


def save(folder: Path, file: Path) -> None:
    """Write a consistent copy of the store, compressed."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / DATABASE
        source, copy = sqlite3.connect(folder / DATABASE), sqlite3.connect(path)
        with copy:
            source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.execute("VACUUM")
        source.close()
        copy.close()
        file.write_bytes(lzma.compress(path.read_bytes(), preset=9))


def restore(file: Path, folder: Path) -> None:
    """Write the store into a new folder."""
    folder.mkdir(parents=True)
    (folder / DATABASE).write_bytes(lzma.decompress(file.read_bytes()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("action", choices=("save", "restore"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    (save if options.action == "save" else restore)(options.source, options.target)


if __name__ == "__main__":
    main()
