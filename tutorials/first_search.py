"""Find a network for the embedded digits, in Python.

The same as ``foretell search --max-params 50k --pool 40 --trials 4``; running it twice resumes.
"""

import foretell

config = foretell.SearchConfig(
    space="nb201",
    data="digits",
    constraints=("params<=50k",),
    pool=40,
    trials=4,
    epochs=4,
    final_epochs=10,
)
result = foretell.find(config, "runs/first_search")
final = result.outcome.final
costs = result.outcome.book([final.arch])

print(f"winner          {result.outcome.space.format(final.arch)}")
print(f"test accuracy   {final.result.test_accuracy:.2%}")
print(f"parameters      {costs.params[0]:,}")
print(f"under PGD       {final.robustness['pgd'][8.0]:.2%} at 8/255")
print(f"reused trials   {result.outcome.reused_trials}")
print(f"files           {', '.join(result.files)}")

assert costs.params[0] <= 50_000
assert final.result.test_accuracy > 0.9
