"""A synthetic run that looks like a real one: 500 scored cells, 40 trained, 3 of them failed."""

from dataclasses import replace

import numpy as np
import pytest

from foretell.graph import Graph, Node
from foretell.report import (
    ConstraintRow,
    CurveRow,
    PoolTable,
    ResumeRow,
    RunData,
    TaskRow,
    TrialRow,
    Winner,
)

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NAMES = ("zero", "skip", "conv1x1", "conv3x3", "avgpool3x3")
PAIRS = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
PROXIES = {
    "params": 0.62, "live_params": 0.71, "sum_log_params": 0.74, "flops": 0.66, "l2_norm": 0.68,
    "snip": 0.55, "grad_norm": 0.58, "fisher": 0.42, "plain": -0.25, "grasp": 0.38,
    "synflow": 0.72, "logsynflow": 0.75, "jacov": 0.6, "epe_nas": 0.56, "nwot": 0.73,
    "zen": 0.48, "zico": 0.7,
}  # fmt: skip


def cell_text(genes):
    """The official string of a NAS-Bench-201 cell."""
    a, b, c, d, e, f = (OPS[g] for g in genes)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def cell_graph(genes):
    """The cell with its operations on nodes: input, then operations and sums, then output."""
    nodes, edges, where = [Node("input")], [], {0: 0}
    for target in (1, 2, 3):
        ops = []
        for gene, (i, j) in zip(genes, PAIRS, strict=True):
            if j == target:
                nodes.append(Node(NAMES[gene], {"channels": 16}))
                edges.append((where[i], len(nodes) - 1))
                ops.append(len(nodes) - 1)
        nodes.append(Node("sum"))
        where[target] = len(nodes) - 1
        edges += [(op, where[target]) for op in ops]
    nodes.append(Node("output"))
    edges.append((where[3], len(nodes) - 1))
    return Graph(tuple(nodes), tuple(edges))


def curve(accuracy, epochs, rng):
    steps = np.arange(1, epochs + 1) / epochs
    up = accuracy * (1 - np.exp(-5 * steps)) / (1 - np.exp(-5))
    up = np.clip(up + rng.normal(0, 0.012, epochs) * (1.05 - steps), 0, 1)
    up[-1] = accuracy
    loss = 0.55 + 1.9 * np.exp(-4 * steps)
    return CurveRow(
        tuple(loss.tolist()),
        tuple((loss + 0.05 + rng.normal(0, 0.01, epochs)).tolist()),
        tuple(up.tolist()),
    )


def make_run(trials=40, pool=500, seed=0, failures=True):
    """A run of some size; the same arguments give the same run."""
    rng = np.random.default_rng(seed)
    genes = {tuple(rng.integers(0, 5, 6).tolist()) for _ in range(2 * pool)}
    genes = sorted(g for g in genes if any(g[i] in (2, 3) for i in range(6)))[: 4 * pool]
    rng.shuffle(genes)
    genes = [tuple(map(int, g)) for g in genes[:pool]]
    threes = np.array([sum(x == 3 for x in g) for g in genes])
    ones = np.array([sum(x == 2 for x in g) for g in genes])
    params = 9_100 + 14_200.0 * threes + 1_700 * ones
    flops = 182_000 + 640_000.0 * threes + 72_000 * ones
    memory = 65_536 + 8_192.0 * rng.integers(2, 9, pool)
    quality = (threes + 0.4 * ones) / 4 + rng.normal(0, 0.25, pool)
    ranks = (quality - quality.mean()) / quality.std()
    scores = {}
    for name, rho in PROXIES.items():
        noise = rng.normal(size=pool)
        scores[name] = rho * ranks + np.sqrt(1 - rho**2) * noise
    scores["params"] = params.copy()
    scores["zico"][rng.choice(pool, 7, replace=False)] = np.nan
    scores["grasp"][rng.choice(pool, 2, replace=False)] = np.nan
    predicted = 0.955 + 0.011 * (ranks + rng.normal(0, 0.5, pool))
    truth = np.clip(0.966 + 0.009 * ranks + rng.normal(0, 0.003, pool), 0, 0.9954)
    chosen = np.concatenate([rng.choice(pool, 10, replace=False), np.argsort(-predicted)])
    chosen = list(dict.fromkeys(chosen.tolist()))[:trials]
    rows, clock = [], 4.2
    for number, i in enumerate(chosen):
        seconds = float(1.1 + 0.35 * threes[i] + rng.normal(0, 0.08))
        clock += seconds
        state, error, message = "done", "", ""
        if failures and number in (6, 21):
            state, error = "not_finite", "NonFiniteLossError"
            message = "The training loss became nan in epoch 2: lower the learning rate (--lr)."
        elif failures and number == 13:
            state, error, message = "timed_out", "TimeoutError", "The trial ran past 60 seconds."
        fine = state == "done"
        accuracy = round(float(truth[i]) * 359) / 359 if fine else float("nan")
        rows.append(
            TrialRow(
                number=number,
                arch=cell_text(genes[i]),
                state=state,
                error=error,
                message=message,
                val_accuracy=accuracy,
                predicted=float(predicted[i]) if number >= 10 else float("nan"),
                params=float(params[i]),
                flops=float(flops[i]),
                memory=float(memory[i]),
                seconds=seconds,
                finished=clock,
                curves=curve(accuracy, 12, rng) if fine else None,
                resumed=number < 12,
            )
        )
    good = [r for r in rows if r.state == "done"]
    winner = None
    if good:
        best = max(good, key=lambda r: r.val_accuracy)
        cell = genes[chosen[best.number]]
        winner = Winner(
            arch=best.arch,
            graph=cell_graph(cell),
            number=best.number,
            val_accuracy=0.9944,
            test_accuracy=0.9889,
            params=best.params,
            flops=best.flops,
            memory=best.memory,
            seconds=14.8,
            curves=curve(0.9944, 30, rng),
            robustness={
                "fgsm": {1: 0.978, 2: 0.956, 4: 0.861, 8: 0.517},
                "pgd": {1: 0.978, 2: 0.947, 4: 0.803, 8: 0.281},
            },
            robust_clean=0.9889,
            robust_images=360,
            files=("best/weights.safetensors", "best/arch.json", "best/train.py", "trials.csv"),
            not_exported=("best/model.onnx needs the extra onnx: pip install 'foretell[onnx]'.",),
        )
    return RunData(
        title="digits on nb201",
        space="nb201",
        searcher="robot",
        task=TaskRow("digits", 10, (1, 8, 8), 1078, 359, 360, tuple("0123456789"), "embedded"),
        command="foretell search --space nb201 --data digits --max-params 100k --out runs/digits",
        seed=seed,
        settings={
            "trials": trials, "pool": pool, "epochs": 12, "final epochs": 30, "batch size": 64,
            "learning rate": 0.1, "label smoothing": 0.1, "proxies": ", ".join(PROXIES),
        },
        versions={"foretell": "0.1.0", "python": "3.12.4", "torch": "2.13.0", "numpy": "2.4.6"},
        device="cpu, 2 threads",
        stages={"draw": 0.2, "score": 21.7, "search": clock - 4.2, "final training": 14.8,
                "attack": 4.4, "export": 1.3},
        pool=PoolTable(
            archs=tuple(map(cell_text, genes)),
            params=params,
            flops=flops,
            memory=memory,
            predicted=predicted,
            scores=scores,
            drawn=718,
            infeasible=171,
            dead=19,
            duplicates=28,
            failures={17: "ModuleRaisedError: the module raised ValueError: bad shape"},
            population="drawn uniformly, within the limits, alive",
        ),
        trials=tuple(rows),
        winner=winner,
        constraints=(ConstraintRow("params<=100k", "params", 100_000, None, 171),),
        budget=trials,
        space_size=15_625,
        resumed=ResumeRow(trials=12, scores=500, seconds=38.0),
        started="2026-03-14T09:26:53+00:00",
        proxy_batch="2 batches of 64 images",
    )  # fmt: skip


@pytest.fixture(scope="session")
def run():
    """40 trials, pool of 500."""
    return make_run()


@pytest.fixture(scope="session")
def bare():
    """Nothing was trained, nothing was scored."""
    full = make_run(trials=1, pool=20)
    return replace(
        full, pool=PoolTable(), trials=(), winner=None, constraints=(), budget=None,
        settings={}, versions={}, stages={}, resumed=None, started="", device="", searcher="",
        space_size=None, proxy_batch="",
    )  # fmt: skip


@pytest.fixture(scope="session")
def one_trial():
    """One network was trained; no attack, no curves."""
    full = make_run(trials=1, pool=20)
    return replace(
        full,
        trials=tuple(replace(t, curves=None) for t in full.trials),
        winner=replace(
            full.winner, robustness={}, curves=None, graph=None, robust_skipped="--no-attack"
        ),
        resumed=None,
    )
