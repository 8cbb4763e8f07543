"""A space, a proxy and a searcher from outside the package, together in one search.

Each is one file beside this one: my_space.py, my_proxy.py, my_searcher.py. A name that foretell
does not know may always be given as ``file.py:attribute``. What keeps a plug-in honest are the
public contract tests::

    from foretell.testing.proxies import ProxyContract
    from foretell.testing.searchers import SearcherContract
    from foretell.testing.spaces import NetworkContract

A test class that inherits from one of them and names the plug-in runs the whole suite on it.
"""

from pathlib import Path

import foretell

here = Path(__file__).parent
space = f"{here}/my_space.py:space"

run = foretell.score(
    [foretell.get_space(space).parse("width=16,depth=2,kernel=3,groups=1,around=true,pool=max")],
    [f"{here}/my_proxy.py:gradient_balance", "synflow"],
    space=space,
)
print(run.columns())

config = foretell.SearchConfig(
    space=space,
    searcher=f"{here}/my_searcher.py:GreedyNeighbors",
    constraints=("params<=30k", "flops<=1M"),
    trials=4,
    epochs=2,
    final_epochs=8,
    attacks=("fgsm",),
)
result = foretell.find(config, "runs/plugins")
print(f"{result.winner.arch}: {result.winner.test_accuracy:.2%}")
assert result.winner.test_accuracy > 0.8
