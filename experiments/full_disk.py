"""Searches on disks that are too small, at every size: a sentence, nothing lost, and on they go.

    python experiments/full_disk.py --sizes 40 --log runs/full_disk.log

Needs the right to mount a file system in memory. For each size a search runs on a disk of that
size, in a process of its own; then the disk is enlarged and the same search runs again. The first
run ends well or with one of foretell's errors; what it finished is there afterwards, and the second
run ends like a search that met no full disk.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "studies"))


def mount(folder: Path, kib: int, *options: str) -> bool:
    """Mount a file system of so many KiB; whether that worked."""
    words = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={kib}k", *options]), "tmpfs"]
    return not subprocess.run([*words, str(folder)], capture_output=True).returncode


def try_size(folder: Path, kib: int) -> tuple[str, str]:
    """How a search on a disk of that size ends, and what is wrong; empty if nothing is."""
    import forked
    from test_search_kill import STUDY, result_of, search

    folder.mkdir()
    if not mount(folder, kib):
        raise SystemExit("A file system cannot be mounted here.")
    run = folder / "run"
    said = folder.with_suffix(".txt")

    def first(out: Path) -> None:
        from foretell.errors import ForetellError

        try:
            search(out)
            said.write_text("ended")
        except ForetellError as error:
            said.write_text(f"{type(error).__name__}: {error}")

    try:
        if forked.run_for(first, run):
            return said.read_text() if said.exists() else "died", "a foreign exception"
        before = forked.finished(run, STUDY) if (run / "study.db").exists() else {}
        mount(folder, 65536, "remount")
        result = result_of(search(run))
        now = forked.finished(run, STUDY)
        kept = {key: now.get(key) for key in before} == before
        wrong = "" if result == WHOLE[0] else "another result"
        return said.read_text(), wrong if kept else "a finished trial was lost or run twice"
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


WHOLE: list[object] = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, default=40)
    parser.add_argument("--least", type=int, default=60, help="KiB")
    parser.add_argument("--most", type=int, default=900, help="KiB")
    parser.add_argument("--log", type=Path, default=ROOT / "runs" / "full_disk.log")
    args = parser.parse_args()
    args.log.parent.mkdir(parents=True, exist_ok=True)
    from test_search_kill import result_of, search

    bad = 0
    with tempfile.TemporaryDirectory() as folder, args.log.open("w") as log:
        WHOLE.append(result_of(search(Path(folder) / "whole")))
        for i in range(args.sizes):
            kib = args.least + (args.most - args.least) * i // max(1, args.sizes - 1)
            said, wrong = try_size(Path(folder) / f"disk{i}", kib)
            bad += bool(wrong)
            said = said.replace(folder, "")
            log.write(f"{kib} KiB: {said}{f' WRONG: {wrong}' if wrong else ''}\n")
            log.flush()
        log.write(f"{args.sizes} sizes, {bad} wrong\n")
    print(f"{args.sizes} sizes, {bad} wrong: {args.log}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
