"""Progress where there is no terminal: few lines, with the time that is left."""

import math

from foretell.cli._progress import Lines, progress
from foretell.studies.run.progress import Progress, silent


def test_a_line_a_stage_and_one_every_30_seconds(capsys):
    now = [0.0]
    tell = Lines(lambda: now[0])
    for second in range(100):
        now[0] = float(second)
        tell(Progress("fit", second, 100, 1.0, 100.0 - second, "best 1"))
    tell(Progress("score", 0, 2000))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "fit predictors: 0 of 100, 2 min left, best 1",
        "fit predictors: 30 of 100, 70 s left, best 1",
        "fit predictors: 60 of 100, 40 s left, best 1",
        "fit predictors: 90 of 100, 10 s left, best 1",
        "score untrained: 0 of 2,000",
    ]


def test_long_times_and_unknown_stages(capsys):
    tell = Lines(lambda: 0.0)
    tell(Progress("weigh", 1, 9, 0.1, 20_000.0))
    tell(Progress("fit", 1, 9, math.nan, math.nan))
    tell(Progress("score", 9, 9, 0.1, 0.0))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "weigh: 1 of 9, 5.6 h left", "fit predictors: 1 of 9", "score untrained: 9 of 9",
    ]  # fmt: skip


def test_quiet_is_silent_and_no_terminal_gets_lines():
    with progress(True) as tell:
        assert tell is silent
    with progress() as tell:
        assert isinstance(tell, Lines)
