"""The summary that a terminal shows."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from foretell.report import summary


def shown(run, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(summary(run))
    return console.export_text()


def test_says_the_main_things(run):
    text = shown(run, 160)
    for words in (
        "98.89 % test accuracy", "95 % interval 97.2 % to 99.6 %", run.winner.arch, "65.9k params",
        "params<=100k", "51.7 % at 8/255", "37 of 40 networks, 3 failed", "(n = 28)",
        "1 min 57 s", "12 trials and 500 scores reused, 38 s saved", "2 × NonFiniteLossError",
    ):  # fmt: skip
        assert words in text, words


def test_nothing_was_trained(bare):
    assert "No winner: nothing was trained." in shown(bare)


def test_all_failed(run):
    bad = tuple(replace(t, state="failed", val_accuracy=float("nan")) for t in run.trials)
    assert "no network was trained to the end" in shown(replace(run, trials=bad, winner=None))


def test_markup_stays_text(run):
    odd = replace(run, title="[bold]x[/bold]", notes=("[red]n[/red]",))
    odd = replace(odd, winner=replace(run.winner, arch="[link=file:]a[/link]"))
    text = shown(odd)
    for words in ("[bold]x[/bold]", "[red]n[/red]", "[link=file:]a[/link]"):
        assert words in text


@pytest.mark.parametrize("width", [20, 40, 200])
def test_fits_the_terminal(run, width):
    assert max(map(len, shown(run, width).splitlines())) <= width
