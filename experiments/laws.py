"""All networks in all spellings by all proxies: what differs, and the matrix of docs/laws.md.

    python experiments/laws.py --log runs/laws.log --docs docs/laws.md

Networks, rewrites and what is invariant are those of tests/laws. Every rewrite is checked to give
the same outputs; with --alone, every proxy is asked for alone and in random company.
"""

import argparse
import math
import sys
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "laws"))

from law_cells import NAMES, same_function, scored, values_of, wrong_cells  # noqa: E402
from law_networks import NETWORKS, make  # noqa: E402
from law_rewrites import REWRITES  # noqa: E402

START, END = "<!-- matrix -->", "<!-- end of matrix -->"


def company(name: str, base: dict[str, float], rng: np.random.Generator) -> list[str]:
    """Proxies whose value depends on which others were asked for."""
    groups = [[n] for n in NAMES]
    groups += [list(rng.permutation(NAMES)[: rng.integers(2, len(NAMES))]) for _ in range(5)]
    of_images = NETWORKS[name].images or NETWORKS[name].dtype
    bad = set()
    for group in groups:
        for n, value in values_of(make(name), group, of_images).values.items():
            same = value == base[n] or abs(value - base[n]) <= 1e-12 * abs(base[n])
            if not same and not (math.isnan(value) and math.isnan(base[n])):
                bad.add(n)
    return sorted(bad)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--log", type=Path, help="every cell that differs")
    parser.add_argument("--docs", type=Path, help="page whose matrix is written anew")
    parser.add_argument("--alone", action="store_true", help="also each proxy alone and in company")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    start, lines, table = time.process_time(), [], []
    cells = missing = differ = 0
    rng = np.random.default_rng(0)
    for name in args.networks:
        row = scored(name)
        wrong = wrong_cells(row)
        entries = []
        for spelling in ("as built", *REWRITES):
            if spelling != "as built" and spelling not in row.rows:
                entries.append("")
                continue
            values = row.base.values if spelling == "as built" else row.rows[spelling].values
            cells += len(NAMES)
            nans = sum(map(math.isnan, values.values()))
            missing += nans
            bad = [n for s, n in wrong if s == spelling]
            differ += len(bad)
            if spelling != "as built" and not same_function(name, spelling):
                lines.append(f"{name}, {spelling}: another function")
                bad.append("outputs")
            entries.append(", ".join(bad) if bad else str(len(NAMES) - nans))
        if args.alone:
            lines += [
                f"{name}: {n} depends on company" for n in company(name, row.base.values, rng)
            ]
        lines += [f"{name}, {s}, {n}: {what}" for (s, n), what in wrong.items()]
        table.append(f"| {name} | " + " | ".join(entries) + " |")
        print(table[-1], flush=True)
    head = "| network | " + " | ".join(("as built", *REWRITES)) + " |"
    seconds = time.process_time() - start
    summary = (
        f"{len(args.networks)} networks, {len(REWRITES)} rewrites, {len(NAMES)} proxies: "
        f"{cells} values, {missing} missing, {differ} differ; {seconds:.0f} CPU-s."
    )
    print("\n".join([*lines, summary]))
    if args.log is not None:
        args.log.parent.mkdir(parents=True, exist_ok=True)
        args.log.write_text("\n".join([*table, *lines, summary, ""]), encoding="utf-8")
    if args.docs is not None:
        before, _, rest = args.docs.read_text(encoding="utf-8").partition(START)
        after = rest.partition(END)[2]
        rule = "|---" * (len(REWRITES) + 2) + "|"
        text = "\n".join([START, summary, "", head, rule, *table, END])
        args.docs.write_text(before + text + after, encoding="utf-8")
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
