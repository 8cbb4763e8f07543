"""Many damaged files of every format that the importers read: the loop of the tests, many times.

    python experiments/fuzz_importers.py --times 1000 --log runs/fuzz_importers.log

All damages follow from the seed 0, so that the same call repeats them; the log holds the command,
what pytest printed, and how long each format took.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1000, help="damages of each format")
    parser.add_argument("--log", type=Path, default=ROOT / "runs" / "fuzz_importers.log")
    args = parser.parse_args()
    args.log.parent.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "pytest", "-q", "--durations=0"]
    words.append(str(ROOT / "tests" / "benchmarks" / "test_import_fuzz.py"))
    with args.log.open("w", encoding="utf-8") as log:
        log.write(f"FORETELL_FUZZ={args.times} {' '.join(words)}\n")
        log.flush()
        environment = {**os.environ, "FORETELL_FUZZ": str(args.times)}
        done = subprocess.run(words, stdout=log, stderr=log, env=environment, cwd=ROOT)
    print(args.log.read_text(encoding="utf-8").splitlines()[-1])
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
