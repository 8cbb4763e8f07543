"""Find a network for the embedded digits, in Python.

The same as ``foretell search --max-params 50k --pool 20 --trials 3``, with shorter trainings;
running it twice resumes.
"""

import foretell

config = foretell.SearchConfig(
    space="nb201",
    data="digits",
    constraints=("params<=50k",),
    pool=20,
    trials=3,
    epochs=2,
    final_epochs=4,
    attack_images=100,
)
result = foretell.find(config, "runs/first_search")
winner = result.winner

print(f"winner          {winner.arch}")
print(f"test accuracy   {winner.test_accuracy:.2%}")
print(f"parameters      {winner.params:,.0f}")
print(f"under PGD       {winner.robustness['pgd'][8.0]:.2%} at 8/255")
print(f"reused trials   {result.resumed.trials if result.resumed else 0}")
print(f"files           {', '.join(result.files)}")

assert winner.params <= 50_000
assert winner.test_accuracy > 0.9
