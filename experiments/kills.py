"""Kill searches at random moments, many times: the test's loop with other numbers.

    python experiments/kills.py --kills 100 --log runs/kills.log
    python experiments/kills.py --kills 50 --workers 2 --log runs/kills_workers.log

The moments follow from the seed and from how fast the machine is; the log holds the command, what
pytest printed, and how many kills hit the search and how many its workers.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=0, help="of the searches")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=ROOT / "runs" / "kills.log")
    args = parser.parse_args()
    args.log.parent.mkdir(parents=True, exist_ok=True)
    changed = {
        "FORETELL_KILLS": str(args.kills),
        "FORETELL_KILL_WORKERS": str(args.workers),
        "FORETELL_KILL_SEED": str(args.seed),
    }
    words = [sys.executable, "-m", "pytest", "-q", "-s", "--durations=0"]
    words.append(str(ROOT / "tests" / "studies" / "test_search_kill.py"))
    with args.log.open("w", encoding="utf-8") as log:
        log.write(f"{' '.join(f'{k}={v}' for k, v in changed.items())} {' '.join(words)}\n")
        log.flush()
        done = subprocess.run(
            words, stdout=log, stderr=log, env={**os.environ, **changed}, cwd=ROOT
        )
    print(args.log.read_text(encoding="utf-8").splitlines()[-1])
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
