"""Score networks of your own, untrained, beside honest size baselines."""

from pathlib import Path

import foretell

here = Path(__file__).parent
run = foretell.score(
    [f"{here}/my_net.py:small", f"{here}/my_net.py:wide"],
    ["params", "flops", "synflow", "nwot", "jacov", "zico"],
    data="digits",
)
for name, values in run.columns().items():
    print(f"{name:10}", *(f"{v:>12.5g}" if isinstance(v, float) else str(v)[-12:] for v in values))

params = run.scores.column("params")
assert params[1] > params[0]
assert not run.scores.failures
