"""What the page says: every sentence, tile and table row, from the tables of a run."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from foretell.report.html.format import DASH, amount, duration, percent, plain, shape, signed, size
from foretell.report.html.layout import place
from foretell.report.html.svg import graph_svg
from foretell.report.search import tables
from foretell.report.search.data import RunData, TrialRow, Winner
from foretell.types import Json

__all__ = ["MOST_ROWS", "context", "star_number"]

MOST_ROWS = 300
"""Trials that the page lists; all of them are in trials.csv and in the charts."""


def star_number(run: RunData) -> int | None:
    """The trial that the charts mark with a star."""
    progress = tables.progress_info(run)
    return None if progress.winner is None else progress.trials[progress.winner].number


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def _sentence(parts: Sequence[str]) -> str:
    return " ".join(p for p in parts if p)


def context(run: RunData) -> dict[str, Json]:
    """Everything that the template writes."""
    return {
        "title": run.title,
        "facts": " · ".join(
            p
            for p in (
                f"space {run.space}",
                f"searcher {run.searcher}" if run.searcher else "",
                f"seed {run.seed}",
                run.device,
                run.started.replace("T", " ").removesuffix("+00:00")
                + (" UTC" if run.started.endswith("+00:00") else "")
                if run.started
                else "",
            )
            if p
        ),
        "hero": _hero(run),
        "funnel": tables.funnel_info(run),
        "notes": _notes(run),
        "version": f" {run.versions['foretell']}" if run.versions.get("foretell") else "",
        **_winner_words(run),
        **_search_words(run),
        **_prediction_words(run),
        **_pareto_words(run),
        **_proxy_words(run),
        **_robust_words(run),
        **_failure_words(run),
        **_trial_words(run),
        **_again_words(run),
    }


def _hero(run: RunData) -> Json:
    hero, winner = tables.hero_info(run), run.winner
    known = math.isfinite(hero.test_accuracy)
    number = f"{100 * hero.test_accuracy:.2f}" if known else DASH
    if winner is None:
        spread = "No network was trained to the end."
    elif not known:
        spread = "The winner was not tested."
    else:
        spread = (
            f"on {run.task.test:,} test images that the search never saw; 95 % interval "
            f"{100 * hero.low:.1f} to {100 * hero.high:.1f} %"
        )
    tiles: list[Json] = []

    def tile(name: str, value: str, detail: str = "", share: float | None = None) -> None:
        part = None if share is None else f"{100 * min(max(share, 0), 1):.1f}"
        tiles.append({"name": name, "value": value, "detail": detail, "share": part})

    for name, label, show in (
        ("params", "Parameters", amount),
        ("flops", "Multiply-adds", amount),
        ("memory", "Peak activations", size),
    ):
        value = float(getattr(winner, name)) if winner else float("nan")
        limits = [c.max for c in run.constraints if c.name == name and c.max is not None]
        if limits and math.isfinite(value) and min(limits) > 0:
            share = value / min(limits)
            tile(label, show(value), f"{100 * share:.0f} % of the limit {show(min(limits))}", share)
        else:
            tile(label, show(value), "for one image" if name != "params" else "no limit was set")
    validation = winner.val_accuracy if winner else float("nan")
    tile(
        "Validation accuracy", percent(validation), f"on {run.task.val:,} images" if winner else ""
    )
    of = f" of {hero.budget:,}" if hero.budget is not None else ""
    trained = [f"{hero.failed:,} failed"] if hero.failed else []
    trained += [f"{hero.reused:,} reused"] if hero.reused else []
    tile(
        "Networks trained",
        f"{hero.trained:,}{of}",
        ", ".join(trained) or "none failed",
        None if not hero.budget else (hero.trained + hero.failed) / hero.budget,
    )
    saved = run.resumed.seconds if run.resumed else float("nan")
    if math.isfinite(saved) and saved > 0:
        tile("Time of this call", duration(hero.seconds), f"{duration(saved)} were done before")
    else:
        tile("Time", duration(hero.seconds), run.device or "all stages")
    return {
        "what": "Test accuracy of the winner" if winner else "No winner",
        "number": number,
        "unit": "%" if known else "",
        "range": spread,
        "tiles": tiles,
    }


def _notes(run: RunData) -> list[Json]:
    notes: list[Json] = []
    if run.resumed is not None:
        saved = run.resumed.seconds
        text = (
            f"This call resumed an earlier one: it reused {_many(run.resumed.trials, 'trial')} and "
            f"{_many(run.resumed.scores, 'score')}"
        )
        text += f", which saved {duration(saved)}." if math.isfinite(saved) else "."
        notes.append({"text": text, "warn": False})
    return notes + [{"text": n, "warn": True} for n in run.notes]


def _winner_words(run: RunData) -> dict[str, Json]:
    winner, curves = run.winner, tables.curve_info(run)
    words: dict[str, Json] = {
        "winner": None,
        "no_winner": "There is no winner, because no network was trained to the end."
        if run.trials
        else "There is no winner, because nothing was trained.",
        "curves_text": "",
        "loss_text": "",
    }
    if winner is None:
        return words
    faint = f"{_many(len(curves.trials), 'short training')} of the search" if curves.trials else ""
    strong = "the winner's final one" if curves.winner else ""
    words["curves_text"] = (
        "Validation accuracy by epoch: " + " and ".join(p for p in (faint, strong) if p) + "."
        if curves.epochs
        else ""
    )
    words["loss_text"] = (
        "Training and validation loss in the final training." if curves.winner else ""
    )
    pairs = [("Architecture", winner.arch, True)]
    if winner.number is not None:
        pairs.append(("Found in trial", str(winner.number), False))
    pairs += [
        ("Parameters", _exact(winner.params), False),
        ("Multiply-adds", _exact(winner.flops), False),
        ("Peak activations", size(winner.memory), False),
        ("Final training", duration(winner.seconds), False),
    ]
    pairs += [("Limit", c.text, True) for c in run.constraints]
    svg, dead, skips = _drawing(winner)
    words["winner"] = {
        "lead": _winner_lead(run, winner, dead),
        "graph_title": winner.graph_title,
        "svg": svg,
        "dead": dead,
        "skips": skips,
        "pairs": pairs,
        "files": winner.files,
        "not_exported": winner.not_exported,
    }
    return words


def _winner_lead(run: RunData, winner: Winner, dead: int) -> str:
    hero = tables.hero_info(run)
    parts = [
        f"Chosen from {_many(hero.trained, 'trained network')} by validation accuracy, then "
        "trained once more in full."
    ]
    if dead:
        parts.append(
            f"{_many(dead, 'operation')} of it {'has' if dead == 1 else 'have'} no effect on the "
            f"output."
        )
    return _sentence(parts)


def _drawing(winner: Winner) -> tuple[Markup | None, int, bool]:
    """The graph as SVG, its operations without effect, and whether a live skip is in it."""
    if winner.graph is None:
        return None, 0, False
    placed = place(winner.graph)
    skips = any(n.kind == "skip" and n.live for n in placed.nodes)
    return Markup(graph_svg(winner.graph, winner.graph_title)), placed.dead, skips


def _exact(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else DASH


def _search_words(run: RunData) -> dict[str, Json]:
    info = tables.progress_info(run)
    hero = tables.hero_info(run)
    text = f"{_many(hero.trained, 'network')} {'was' if hero.trained == 1 else 'were'} trained"
    text += f", {hero.failed:,} failed." if hero.failed else "."
    progress = ""
    if info.winner is not None:
        best = info.trials[info.winner]
        progress = (
            f"{'The winner' if run.winner else 'The best'} is trial {best.number:,}, with "
            f"{percent(best.val_accuracy)} after the search's short training."
        )
    elif info.trials:
        progress = "No trial ended well."
    seconds = ""
    if len(info.trials):
        seconds = f"The trials took {duration(float(info.seconds[-1]))} in all."
        if info.winner is not None:
            when = duration(float(info.seconds[info.winner]))
            seconds = f"The winner was there after {when} of {duration(float(info.seconds[-1]))}."
    if len(info.trials) == 1:
        progress += " With one trial there is no progress to see."
    return {
        "search_text": text
        + " The accuracy on the validation images is what the search compares; the best of many is"
        " a little lucky, which is why the winner is tested on other images.",
        "progress_text": progress,
        "seconds_text": seconds,
    }


def _prediction_words(run: RunData) -> dict[str, Json]:
    info = tables.prediction_info(run)
    lead = "Before a network is trained, the search predicts how good it will be."
    text = empty = note = ""
    pairs: list[tuple[str, str]] = []
    if info.n >= 2 and math.isfinite(info.tau):
        text = (
            f"Kendall's tau-b {signed(info.tau)}, n = {info.n} trained networks, seed {run.seed}."
        )
        if info.scale:
            text += " On the dotted line both are equal."
        pairs = [
            ("Kendall's tau-b", signed(info.tau, 3)),
            ("Spearman's rho", signed(info.rho, 3)),
            ("trained networks", f"{info.n:,}"),
            ("chance level", f"±{info.noise:.2f}"),
        ]
        note = (
            "A random order of as many networks stays within the chance level in 95 % of cases, "
            "so only a tau-b beyond it says that the prediction knew something."
        )
        lead += (
            " These networks were picked because they were promising, so the order among them is "
            "harder to foretell than the order of networks drawn at random."
        )
    elif info.n == 1:
        text = "With one network there is no order to compare."
    elif info.n:
        text = (
            f"One side is the same for all n = {info.n} networks, so there is no order to compare."
        )
    if info.without:
        text = _sentence(
            [text, f"{_many(info.without, 'network')} had no prediction and are left out."]
            if info.without > 1
            else [text, "1 network had no prediction and is left out."]
        )
    if not info.n:
        empty = (
            "The searcher made no prediction for any trained network."
            if run.trials
            else "Nothing was trained."
        )
    return {
        "prediction_lead": lead,
        "prediction_text": text,
        "prediction_empty": empty,
        "prediction_pairs": pairs,
        "prediction_note": note,
    }


def _pareto_words(run: RunData) -> dict[str, Json]:
    texts: dict[str, str] = {}
    names: dict[tables.Cost, str] = {"params": "parameters", "flops": "multiply-adds"}
    for cost, name in names.items():
        info = tables.pareto_info(run, cost)
        front = int(info.front.sum())
        texts[cost] = (
            f"{front:,} of {_many(len(info.trials), 'network')} "
            f"{'is' if front == 1 else 'are'} beaten by no other in both accuracy and {name}."
            if info.trials
            else ""
        )
    limits = ", ".join(c.text for c in run.constraints)
    lead = (
        "What a smaller network would cost in accuracy. The line joins the networks that no other "
    )
    lead += "beats, the star is the winner"
    lead += f". All networks keep the limit {limits}." if limits else "; no limit was set."
    return {"pareto_lead": lead, "pareto_texts": texts}


def _proxy_words(run: RunData) -> dict[str, Json]:
    info = tables.correlation_info(run)
    batch = f" on {run.proxy_batch}" if run.proxy_batch else ""
    lead = (
        f"A proxy scores a network without training it{batch}. It earns its time only if it "
        "beats the free baselines: params, live_params (without dead operations) and "
        "sum_log_params (sum over layers of the log of their size)."
    )
    if info.names and info.absent:
        lead += f" Not scored in this run: {', '.join(info.absent)}."
    most = int(info.accuracy_n.max()) if len(info.names) else 0
    tau = ""
    if np.isfinite(info.accuracy).any():
        first = info.names[0]
        tau = (
            f"Kendall's tau-b over n = {most:,} trained networks (chosen by the search, seed "
            f"{info.seed}). Best: {first} with {signed(float(info.accuracy[0]))}. Inside the grey "
            f"band (±{info.noise:.2f}) it may be chance."
        )
    heat = (
        f"Kendall's tau-b over the pool: n = {info.pool:,} networks, {info.population}, seed "
        f"{info.seed}{', ' + run.proxy_batch if run.proxy_batch else ''}. ◆ marks free baselines, "
        "blue agrees, orange contradicts."
    )
    rows = [
        {
            "name": name,
            "tau": signed(float(info.accuracy[i]), 3),
            "n": f"{info.accuracy_n[i]:,}",
            "scored": f"{info.pool - info.missing[i]:,}",
            "missing": f"{info.missing[i]:,}",
            "baseline": bool(info.baseline[i]),
        }
        for i, name in enumerate(info.names)
    ]
    matrix = {
        "names": info.names,
        "lines": [
            {"name": name, "cells": [signed(float(v), 3) for v in info.matrix[i]]}
            for i, name in enumerate(info.names)
        ],
    }
    nothing = "No proxy was scored in this run."
    return {
        "proxy_lead": lead,
        "tau_text": tau,
        "tau_empty": "At least two trained networks with a score are needed to compare an order."
        if info.names
        else nothing,
        "heat_text": heat if len(info.names) > 1 else "",
        "heat_empty": "One proxy alone has nothing to be compared with." if info.names else nothing,
        "proxies": rows,
        "nan_text": _nan_text(info),
        "matrix": matrix,
    }


def _nan_text(info: tables.CorrelationInfo) -> str:
    missing = [(int(n), name) for name, n in zip(info.names, info.missing, strict=True) if n]
    if not missing:
        return f"Every proxy scored all {info.pool:,} networks of the pool: no NaN."
    worst = sorted(missing, key=lambda pair: (-pair[0], pair[1]))
    counts = ", ".join(f"{name} {n:,}" for n, name in worst)
    return f"Without a score (NaN) of {info.pool:,} networks: {counts}. They are left out pairwise."


def _robust_words(run: RunData) -> dict[str, Json]:
    info = tables.robustness_info(run)
    empty = ""
    if run.winner is None:
        empty = "There is no winner to attack."
    elif not info:
        why = run.winner.robust_skipped.rstrip(".") or "it was not asked for"
        empty = f"The attack was skipped: {why}."
    lead = "How much accuracy is left when an attacker changes every pixel by at most eps."
    if info and run.winner:
        clean = run.winner.robust_clean
        lead += f" Measured on {_many(run.winner.robust_images, 'test image')}"
        lead += f"; {percent(clean)} without an attack." if math.isfinite(clean) else "."
    every = sorted({float(e) for row in info for e in row.eps})
    rows = []
    for eps in every:
        values = []
        for row in info:
            hit = np.flatnonzero(row.eps == eps)
            values.append(percent(float(row.accuracy[hit[0]])) if len(hit) else DASH)
        rows.append({"eps": f"{eps:g}", "cells": values})
    return {
        "robust_lead": lead,
        "robust_empty": empty,
        "robust": {"names": [r.attack for r in info], "lines": rows},
    }


def _failure_words(run: RunData) -> dict[str, Json]:
    info = tables.failure_info(run)
    total = sum(r.count for r in info)
    tried = len(run.trials)
    nothing = "Nothing was tried, so nothing failed."
    if tried or run.pool.archs:
        nothing = (
            f"None: all of {_many(tried, 'trial')} and {_many(len(run.pool.archs), 'scoring')} "
            "ended well."
        )
    return {
        "failures": info,
        "failure_lead": f"{_many(total, 'failure')} of {_many(len(info), 'kind')}. A failure is "
        "never counted as a number: these networks have no accuracy or score, and stay out of "
        "every average.",
        "no_failures": nothing,
    }


def _trial_words(run: RunData) -> dict[str, Json]:
    def order(trial: TrialRow) -> tuple[bool, float, int]:
        fine = trial.state == "done" and math.isfinite(trial.val_accuracy)
        return (not fine, -trial.val_accuracy if fine else 0.0, trial.number)

    info, star = tables.prediction_info(run), star_number(run)
    rows = [
        {
            "number": t.number,
            "failed": "" if t.state == "done" else t.state.replace("_", " "),
            "accuracy": percent(t.val_accuracy),
            "predicted": percent(t.predicted)
            if info.scale
            else (f"{t.predicted:.4g}" if math.isfinite(t.predicted) else DASH),
            "params": amount(t.params),
            "flops": amount(t.flops),
            "seconds": duration(t.seconds),
            "arch": t.arch,
            "star": t.number == star,
        }
        for t in sorted(run.trials, key=order)
    ]
    return {
        "trials": rows[:MOST_ROWS],
        "hidden": max(0, len(rows) - MOST_ROWS),
        "trials_lead": f"{'The ten best of ' if len(rows) > 10 else ''}"
        f"{_many(len(rows), 'trial')}, by validation accuracy after the search's short training.",
    }


def _again_words(run: RunData) -> dict[str, Json]:
    known = {k: v for k, v in run.stages.items() if math.isfinite(v) and v > 0}
    total = math.fsum(known.values())
    task = run.task
    environment = [
        ("data", ", ".join(dict.fromkeys(filter(None, (task.name, task.source))))),
        ("images", f"{task.train:,} train, {task.val:,} validation, {task.test:,} test"),
        ("image shape", shape(task.input_shape)),
        ("classes", f"{task.classes}: {', '.join(task.class_names)}" if task.class_names else
         f"{task.classes}"),
        ("device", plain(run.device)),
        *((k, plain(v)) for k, v in run.versions.items()),
    ]  # fmt: skip
    return {
        "command": run.command,
        "stages": [
            {"name": k, "time": duration(v), "share": f"{v / total:.4f}"} for k, v in known.items()
        ],
        "total": duration(total),
        "settings": [(k, plain(v)) for k, v in run.settings.items()],
        "environment": environment,
    }
