"""How well the proxies agree with published values, and with themselves under another seed.

Draws networks of NAS-Bench-201 without unreachable operations, scores each under two or more seeds
(weights and batches), and prints Spearman correlations with the values published by NAS-Bench-
Suite-Zero beside those between seeds, and those of the published values between isomorphic
networks. Each network gets a batch of its own (NASLib's loader is shuffled at every query);
``--one-batch`` gives all networks of a seed the same one, which is how foretell scores a pool, and
``--all`` adds the proxies that have no published values. ``--augment`` crops and mirrors the images
at random, as NASLib's loader of training images does. Rows are appended to a CSV file as they come;
running the same command again goes on where it stopped. A second table has the correlations of own
and published scores with the CIFAR-10 test accuracy of the same networks, and the bootstrap
interval of their difference.

    python experiments/proxies/agreement.py --nets 300 --out runs/proxy_agreement.csv
    python experiments/proxies/agreement.py --nets 300 --out runs/proxy_agreement.csv --table

Needs duckdb and the validation data (nb201.parquet, cifar10_10000_2000.npz).
"""

import argparse
import csv
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import duckdb
import numpy as np
import torch

from foretell.arch import Arch
from foretell.data import Split, Task, load_task
from foretell.metrics import Correlation, bootstrap_of, kendall, spearman
from foretell.proxies import Batches, make_batches, proxies, score
from foretell.proxies.cell_pass.heap import kept_heap
from foretell.rng import stream, stream_seed
from foretell.spaces import get_space

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FORETELL_VALIDATION_DATA") or ROOT.parent / "shared" / "data")
Correlate = Callable[[np.ndarray, np.ndarray], Correlation]
SUITE = (
    *("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm"),
    *("nwot", "params", "plain", "snip", "synflow"),
)
PUBLISHED = {name: f"zcs_{name}_cifar10" for name in SUITE} | {"zen": "nbsz_zen_cifar10"}


def networks(count: int) -> tuple[list[Arch], dict[str, np.ndarray]]:
    """The drawn networks and their published values."""
    columns = ", ".join(f'"{c}"' for c in PUBLISHED.values())
    rows = duckdb.sql(
        f"SELECT arch, {columns} FROM '{DATA / 'nb201.parquet'}' "
        "WHERE suite_row IS NOT NULL ORDER BY suite_row"
    ).fetchall()
    drawn = stream(0, "agreement").permutation(len(rows))[:count]
    space = get_space("nb201")
    archs = [space.parse(rows[i][0]) for i in drawn]
    values = np.array([rows[i][1:] for i in drawn], dtype=np.float64)
    return archs, dict(zip(PUBLISHED, values.T, strict=True))


def read(out: Path) -> dict[tuple[str, int], dict[str, float]]:
    """What is in the file already."""
    found = {}
    for path in sorted(out.parent.glob(f"{out.stem}*.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                key = row.pop("arch"), int(row.pop("seed"))
                found[key] = {k: float(v) for k, v in row.items() if v}
    return found


def augmented(task: Task, seed: int) -> Batches:
    """Two batches of 64, padded by 4 black pixels, cropped and mirrored at random."""
    rng = stream(seed, "augmented")
    rows = rng.permutation(len(task.train))[:128]
    images = np.pad(task.train.images[rows], ((0, 0), (0, 0), (4, 4), (4, 4)))
    cropped = [
        x[:, i : i + 32, j : j + 32]
        for x, (i, j) in zip(images, rng.integers(9, size=(128, 2)), strict=True)
    ]
    kept = [
        x[:, :, ::-1] if mirror else x
        for x, mirror in zip(cropped, rng.integers(2, size=128), strict=True)
    ]
    part = Split(np.stack(kept), task.train.labels[rows])
    return make_batches(replace(task, train=part), batch_size=64, count=2, seed=seed)


def run(
    archs: list[Arch],
    seeds: list[int],
    names: list[str],
    out: Path,
    part: str,
    *,
    one_batch: bool,
    augment: bool,
) -> None:
    """Score what is missing, one row at a time."""
    task = load_task(f"npz:{DATA / 'cifar10_10000_2000.npz'}")
    skeleton = get_space("nb201").skeleton((3, 32, 32), 10)
    mine, parts = map(int, part.split("/"))
    done = set(read(out))
    path = out.with_stem(f"{out.stem}_{mine}") if parts > 1 else out
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(["arch", "seed", *names, "seconds"])
        for i, arch in enumerate(archs):
            for seed in seeds:
                if i % parts != mine or (str(arch), seed) in done:
                    continue
                of = seed if one_batch else stream_seed(seed, arch)
                if augment:
                    batches = augmented(task, of)
                else:
                    batches = make_batches(task, batch_size=64, count=2, seed=of)
                got = score([arch], names, batches, skeleton=skeleton, seed=seed)
                for index, reason in got.failures.items():
                    raise SystemExit(f"{arch} failed: {index} {reason}")
                writer.writerow([str(arch), seed, *got.values[0].tolist(), got.seconds[0]])
                file.flush()


def repeats() -> dict[str, float]:
    """Spearman between published values of isomorphic networks, one pair of each class.

    They are the same network with weights and images of their own, so this is how far the published
    values agree with themselves. (Classes are as published, which now and then join networks that
    compute the same with other parameters: those are told apart.)
    """
    columns = ", ".join(f'"{c}"' for c in PUBLISHED.values())
    rows = duckdb.sql(
        f"SELECT (iso_class, zcs_params_cifar10), {columns} FROM '{DATA / 'nb201.parquet'}' "
        "WHERE suite_row IS NOT NULL ORDER BY suite_row"
    ).fetchall()
    classes: dict[object, list[int]] = {}
    for i, row in enumerate(rows):
        classes.setdefault(row[0], []).append(i)
    rng = stream(0, "isomorphic")
    pairs = np.array([rng.choice(c, 2, replace=False) for c in classes.values() if len(c) > 1])
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    return {
        name: float(spearman(values[pairs[:, 0], j], values[pairs[:, 1], j]))
        for j, name in enumerate(PUBLISHED)
    }


def table(archs: list[Arch], seeds: list[int], published: dict[str, np.ndarray], out: Path) -> None:
    """Print the markdown table; means over seeds and over pairs of seeds."""
    found = read(out)
    kept = [i for i, a in enumerate(archs) if all((str(a), s) in found for s in seeds)]
    print(f"{len(kept)} networks, batch 64, seeds {seeds}; 95 % intervals by 500 resamples\n")
    print("| proxy | with published | with itself | difference | published with itself |")
    print("|---|---|---|---|---|")
    theirs = repeats()
    for name in proxies.names():
        if not kept or name not in found[str(archs[kept[0]]), seeds[0]]:
            continue
        mine = [np.array([found[str(archs[i]), s][name] for i in kept]) for s in seeds]

        def itself(*columns: np.ndarray) -> float:
            return float(np.mean([float(spearman(x, y)) for x, y in combinations(columns, 2)]))

        def other(*columns: np.ndarray) -> float:
            return float(np.mean([float(spearman(x, columns[-1])) for x in columns[:-1]]))

        def difference(*columns: np.ndarray) -> float:
            return other(*columns) - itself(*columns[:-1])

        if name not in published:
            print(f"| `{name}` | - | {itself(*mine):.4f} | - | - |")
            continue
        columns = (*mine, published[name][kept])
        ends = bootstrap_of(difference, columns, stream(0, "agreement", name), samples=500)
        print(
            f"| `{name}` | {other(*columns):.4f} | {itself(*mine):.4f} | {ends.value:+.4f} "
            f"({ends.low:+.3f} to {ends.high:+.3f}) | {theirs[name]:.3f} |"
        )


def accuracy(archs: list[Arch]) -> np.ndarray:
    """CIFAR-10 test accuracies after the full training, (n,)."""
    rows = duckdb.sql(f"SELECT arch, test_acc_cifar10 FROM '{DATA / 'nb201.parquet'}'").fetchall()
    known = dict(rows)
    space = get_space("nb201")
    return np.array([known[space.format(a)] for a in archs])


def accuracy_table(
    archs: list[Arch],
    seeds: list[int],
    published: dict[str, np.ndarray],
    out: Path,
    *,
    together: bool,
) -> None:
    """Print, for own and published scores, how they order the networks by accuracy."""
    found = read(out)
    samples, level = 1000, 0.95
    if together:
        samples, level = 4000, 1 - (1 - level) / len(published)
    kept = [i for i, a in enumerate(archs) if all((str(a), s) in found for s in seeds)]
    truth = accuracy([archs[i] for i in kept])
    print(f"\n{len(kept)} networks, with CIFAR-10 test accuracy; own: mean of seeds {seeds};")
    print(f"{level:.1%} interval of own - published by {samples:,} resamples of the networks\n")
    print(
        "| proxy | Spearman own | published | difference | Kendall own | published | difference |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, values in published.items():
        if not kept or name not in found[str(archs[kept[0]]), seeds[0]]:
            continue
        mine = [np.array([found[str(archs[i]), s][name] for i in kept]) for s in seeds]
        cells = []
        for kind in (spearman, kendall):

            def own(*columns: np.ndarray, kind: Correlate = kind) -> float:
                return float(np.mean([kind(c, columns[-1]).value for c in columns[:-1]]))

            def difference(*columns: np.ndarray, kind: Correlate = kind) -> float:
                return own(*columns[:-2], columns[-1], kind=kind) - kind(*columns[-2:]).value

            theirs = values[kept]
            ends = bootstrap_of(
                difference,
                (*mine, theirs, truth),
                stream(0, "difference", name),
                samples=samples,
                level=level,
            )
            cells += [
                f"{own(*mine, truth, kind=kind):.3f}",
                f"{kind(theirs, truth).value:.3f}",
                f"{ends.value:+.3f} ({ends.low:+.3f} to {ends.high:+.3f})",
            ]
        print(f"| `{name}` | {' | '.join(cells)} |")
        each = [f"{float(spearman(m, truth)):.3f}" for m in mine]
        print(f"|   seed by seed | {', '.join(each)} | | | | | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nets", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="two or more")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "proxy_agreement.csv")
    parser.add_argument("--part", default="0/1", help="i/n: every n-th network, in n processes")
    parser.add_argument("--one-batch", action="store_true", help="one batch for all networks")
    parser.add_argument("--augment", action="store_true", help="crop and mirror the images")
    parser.add_argument("--all", action="store_true", help="proxies without published values too")
    parser.add_argument(
        "--together", action="store_true", help="intervals that hold for all proxies at once"
    )
    parser.add_argument("--only", nargs="+", metavar="PROXY", help="these proxies alone")
    parser.add_argument("--table", action="store_true", help="only print what the file holds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    archs, published = networks(options.nets)
    if not options.table:
        names = options.only or (list(proxies.names()) if options.all else list(PUBLISHED))
        with kept_heap():
            run(
                archs,
                options.seeds,
                names,
                options.out,
                options.part,
                one_batch=options.one_batch,
                augment=options.augment,
            )
    table(archs, options.seeds, published, options.out)
    accuracy_table(archs, options.seeds, published, options.out, together=options.together)


if __name__ == "__main__":
    main()
