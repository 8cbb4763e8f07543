"""A synthetic run that looks like a real one: 500 scored cells, 40 trained, 3 of them failed."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foretell.arch import Arch
from foretell.graph import Graph, Node
from foretell.metrics import non_dominated
from foretell.report import (
    ConstraintRow,
    CurveRow,
    ObjectiveRow,
    PoolTable,
    ResumeRow,
    RunData,
    TaskRow,
    TrialRow,
    Winner,
)
from foretell.spaces.nb201 import NB201

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
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
    truth = np.clip(0.966 + 0.0085 * ranks + rng.normal(0, 0.003, pool), 0, 0.9954)
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
        best = max(good, key=lambda r: (r.val_accuracy, -r.params))
        cell = genes[chosen[best.number]]
        winner = Winner(
            arch=best.arch,
            graph=NB201().graph(Arch("nb201", cell)),
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


LATENCY = ObjectiveRow("latency@onnxruntime", "s", "min", False, "Latency@onnxruntime")
ROBUST = ObjectiveRow("pgd@8", "fraction", "max", True, "Pgd@8")
ACCURACY = ObjectiveRow("accuracy", "fraction", "max", True, "Accuracy")


def with_objectives(run, objectives, limit=0.0016, seed=3):
    """The run with a latency and an accuracy under attack, and a limit on the latency."""
    rng = np.random.default_rng(seed)
    rows = []
    for t in run.trials:
        latency = 2e-4 + 4.5e-10 * t.flops * (1 + 0.12 * rng.normal())
        values = {"latency@onnxruntime": float(latency)}
        broken = latency > limit
        if t.state == "done":
            robust = 0.55 - 0.9 * (1 - t.val_accuracy) * 4 + 0.05 * rng.normal()
            values |= {"accuracy": t.val_accuracy, "pgd@8": float(np.clip(robust, 0, 1))}
        why = f"latency@onnxruntime {1e3 * latency:.3g}ms > {1e3 * limit:.3g}ms" if broken else ""
        state = "infeasible" if broken and t.state == "done" else t.state
        fine = t.state == "done" and not broken
        rows.append(replace(t, values=values, state=state, feasible=fine, violation=why))
    table = np.array([
        [r.values.get(o.name, np.nan) if r.feasible else np.nan for o in objectives] for r in rows
    ])  # fmt: skip
    front = non_dominated(table, [o.direction for o in objectives])
    rows = tuple(replace(r, on_front=bool(f)) for r, f in zip(rows, front, strict=True))
    signs = np.array([1 if o.direction == "max" else -1 for o in objectives])
    gains = np.where(front[:, None], table * signs, np.nan)
    low, high = np.nanmin(gains, axis=0), np.nanmax(gains, axis=0)
    best = rows[int(np.nanargmax(((gains - low) / (high - low)).sum(axis=1)))]
    winner = replace(
        run.winner, arch=best.arch, number=best.number, params=best.params, flops=best.flops
    )
    text = f"latency@onnxruntime<={1e3 * limit:g}ms"
    late = ConstraintRow(text, "latency@onnxruntime", limit)
    return replace(run, trials=rows, objectives=tuple(objectives), preferred="knee",
                   winner=winner, constraints=(*run.constraints, late))  # fmt: skip


@pytest.fixture(scope="session")
def two(run):
    """Accuracy and latency, with a limit on the latency."""
    return with_objectives(run, (ACCURACY, LATENCY))


@pytest.fixture(scope="session")
def three(run):
    """Accuracy, latency and accuracy under attack."""
    return with_objectives(run, (ACCURACY, LATENCY, ROBUST))


@pytest.fixture(scope="session")
def own():
    """A user's own evaluation: energy in joules, less is better, no task."""
    full = make_run(trials=30, pool=60)
    rows = tuple(
        replace(t, val_accuracy=float("nan"), predicted=float("nan"), params=float("nan"),
                flops=float("nan"), memory=float("nan"), curves=None,
                values={"energy": 0.2 + 0.01 * (t.number * 7 % 30)} if t.state == "done" else {})
        for t in full.trials
    )  # fmt: skip
    best = min((t for t in rows if t.state == "done"), key=lambda t: t.values["energy"])
    return replace(
        full, title="energy on nb201", task=None, trials=rows, pool=PoolTable(), constraints=(),
        objectives=(ObjectiveRow("energy", "J", "min", True, "Energy"),),
        winner=Winner(best.arch, number=best.number, graph=full.winner.graph),
        stages={"search": 3.0}, resumed=None, proxy_batch="",
    )  # fmt: skip


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


NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028%{x}{{7*7}}"


@pytest.fixture(scope="session")
def nasty(run):
    """A run in which every text from outside tries to become HTML or code."""
    trials = tuple(
        replace(t, arch=NASTY + str(i), error=t.error and NASTY, message=NASTY)
        for i, t in enumerate(run.trials)
    )
    scores = {NASTY + k: v for k, v in run.pool.scores.items()}
    pool = replace(run.pool, archs=(NASTY,) * 500, scores=scores, population=NASTY,
                   failures={3: NASTY})  # fmt: skip
    graph = Graph((Node("input"), Node(NASTY, {NASTY: NASTY}), Node("output")), ((0, 1), (1, 2)))
    winner = replace(run.winner, arch=NASTY, graph=graph, graph_title=NASTY, files=(NASTY,),
                     not_exported=(NASTY,), robustness={NASTY: {1: 0.5}})  # fmt: skip
    return replace(
        run, title=NASTY, space=NASTY, searcher=NASTY, command=NASTY, device=NASTY, started=NASTY,
        settings={NASTY: NASTY}, versions={"foretell": NASTY, NASTY: NASTY}, stages={NASTY: 1.0},
        notes=(NASTY,), proxy_batch=NASTY, trials=trials, pool=pool, winner=winner,
        task=replace(run.task, name=NASTY, class_names=(NASTY,), source=NASTY),
        constraints=(ConstraintRow(NASTY, "params", 1e5),),
    )  # fmt: skip


@pytest.fixture(scope="session")
def make():
    """The function that makes such a run."""
    return make_run


def _high(file):
    """The same open file under a number that does not collide with 3 and 4."""
    copy = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(file)
    return copy


class Browser:
    """A headless chromium, spoken to over two pipes."""

    def __init__(self, program, folder):
        to_read, self._to = map(_high, os.pipe())
        self._from, to_write = map(_high, os.pipe())
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-gpu-rasterization", "--disable-software-rasterizer",
            "--disable-extensions", "--hide-scrollbars", "--force-color-profile=srgb",
            "--remote-debugging-pipe",
        ]  # fmt: skip
        moves = 'exec 3<&$1 4>&$2; shift 2; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", moves, "bash", str(to_read), str(to_write), program, *flags,
             f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._rest, self._count, self._session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]
            self.events.append(answer)

    def _read(self):
        end = time.monotonic() + 60
        while b"\0" not in self._rest:
            if not select.select([self._from], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("chromium does not answer")
            more = os.read(self._from, 1 << 20)
            if not more:
                raise RuntimeError("chromium ended")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def open(self, path, width, *, dark=False):
        """Show a file in a window of some width until every chart is drawn."""
        self.events = []
        self._window(width)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Page.navigate", url=Path(path).resolve().as_uri())
        self._until(
            "document.readyState === 'complete' && !!document.getElementById('figures') && "
            "[...document.querySelectorAll('.plot')]"
            ".every(p => !p.checkVisibility() || p.querySelector('.main-svg'))"
        )

    def resize(self, width):
        """Give the window another width, until every chart is drawn anew."""
        self._window(width)
        self._until(
            "[...document.querySelectorAll('.plot')].every(p => !p.checkVisibility() || "
            "Math.abs(p.querySelector('.main-svg').clientWidth - p.clientWidth) < 1)"
        )

    def _window(self, width):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip

    def _until(self, drawn):
        end = time.monotonic() + 40
        while not self.run(drawn):
            if time.monotonic() > end:
                raise TimeoutError("the charts were not drawn")
            time.sleep(0.1)
        time.sleep(0.3)

    def run(self, script):
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True,
                          awaitPromise=True)  # fmt: skip
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def picture(self, path, clip=None):
        extra = {"clip": {**clip, "scale": 1}} if clip else {}
        data = self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, **extra
        )
        Path(path).write_bytes(base64.b64decode(data["data"]))

    def close(self):
        try:
            self._session = None
            self.call("Browser.close")
            self.process.wait(20)
        except (RuntimeError, OSError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self._to)
        os.close(self._from)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless chromium, or a skip that says why there is none."""
    program = os.environ.get("FORETELL_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None or shutil.which("bash") is None:
        pytest.skip("chromium is not installed; set FORETELL_CHROMIUM to its path")
    made = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()


@pytest.fixture
def light(monkeypatch):
    """Without the four megabytes of plotly.js, for tests that do not look at it."""
    monkeypatch.setattr("foretell.report.html.document._plotly", lambda: "/* plotly */")
