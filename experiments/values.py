"""The values of the main jobs as one JSON file, so that two versions of foretell can be compared.

    python experiments/values.py --out before.json
    python experiments/values.py --out after.json --against before.json

Runs small searches, scores, encodings, predictions and evaluations through the command line, keeps
every number that is no measured time, and with ``--against`` lists what differs.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

FORETELL = [str(Path(sys.executable).parent / "foretell")]
TIMES = ("seconds", "finished", "reused", "folder", "files", "left_out", "cpu")
"""Parts of names of what differs between two runs of one version."""
RENAMED = {
    "val_accuracy": "accuracy",
    "val_loss": "loss",
    "inputs": "encodings",
    "features": "encode",
}
"""Names of an older version -> today's, for files that it wrote."""
SHORT = [
    "--pool", "24", "--trials", "4", "--epochs", "2", "--final-epochs", "2", "--round", "1",
    "--quiet",
]  # fmt: skip
JOBS = {
    "search": ["search", "--max-params", "100k", *SHORT],
    "search evolution": [
        "search", "--space", "size", "--searcher", "evolution", "--constraint", "flops<=2M",
        "--seed", "3", *SHORT,
    ],
    "search local, a pair at once": [
        "search", "--searcher", "local", "--seed", "1", "--attacks", "fgsm", *SHORT, "--round", "2",
    ],
    "search published robot": [
        "search", "--searcher", "robot-published", "--max-flops", "1M", "--seed", "2", *SHORT,
    ],
    "score": ["score", "--sample", "3", "--quiet"],
    "encode": ["encode", "--sample", "6", "--encoding", "graf+onehot+wl", "--quiet"],
    "proxies": ["evaluate", "proxies", "digits-nb201", "--quiet"],
    "predictors": [
        "evaluate", "predictors", "digits-nb201", "--target", "digits/fgsm_eps24_accuracy",
        "--predictor", "gp", "--predictor", "random_forest", "--predictor", "linear",
        "--predictor", "lightgbm", "--sizes", "24,60", "--seeds", "2", "--level", "0.9", "--quiet",
    ],
    "predict": ["predict", "MEASURED", "--sample", "60", "--explain", "2", "--quiet"],
    "predict with gp": ["predict", "MEASURED", "--sample", "60", "--predictor", "gp", "--quiet"],
}  # fmt: skip


def run(words: list[str]) -> str:
    done = subprocess.run([*FORETELL, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def timeless(value: object) -> object:
    """The same without measured times."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if not any(t in k for t in TIMES)}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def table(path: Path) -> list[object]:
    with path.open(newline="", encoding="utf-8") as file:
        return [timeless(row) for row in csv.DictReader(file)]


def measured(folder: Path) -> Path:
    """Forty cells with the parameters' fourth root as their value: no file is needed."""
    rows = json.loads(run(["score", "--sample", "40", "--proxies", "params", "--json", "--quiet"]))
    path = folder / "measured.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["arch", "value"])
        out.writerows([r["arch"], f"{r['params'] ** 0.25:.6f}"] for r in rows)
    return path


def values() -> dict[str, object]:
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = measured(folder)
        for at, (job, words) in enumerate(JOBS.items()):
            words = [str(file) if w == "MEASURED" else w for w in words]
            out = folder / f"{at}"
            if words[0] in ("search", "evaluate"):
                text = run([*words, "--out", str(out), "--json"])
                found[job] = timeless(json.loads(text))
                for path in sorted(out.glob("*.csv")):
                    found[f"{job}: {path.name}"] = table(path)
            else:
                found[job] = timeless(json.loads(run([*words, "--json"])))
            print(job, file=sys.stderr)
    return found


def differences(a: object, b: object, where: str = "") -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        a = {k if k in b else RENAMED.get(k, k): v for k, v in a.items()}
        lines = [f"{where}/{k}: only before" for k in sorted(a.keys() - b.keys())]
        both = sorted(a.keys() & b.keys())
        return lines + [x for k in both for x in differences(a[k], b[k], f"{where}/{k}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return [x for i, (c, d) in pairs for x in differences(c, d, f"{where}[{i}]")]
    return [] if a == b or (a != a and b != b) else [f"{where}: {a!r} and {b!r}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", type=Path)
    args = parser.parse_args()
    found = values()
    args.out.write_text(json.dumps(found, indent=1, sort_keys=True))
    if args.against:
        lines = differences(json.loads(args.against.read_text()), found)
        print("\n".join(lines) or "no difference")
        sys.exit(bool(lines))


if __name__ == "__main__":
    main()
