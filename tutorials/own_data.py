"""Your own images: from any DataLoader, or from a folder with one sub-folder per class.

The folder form is ``foretell search --data folder:photos``; here are a DataLoader and plain arrays.
"""

import torch
from torch.utils.data import DataLoader, TensorDataset

import foretell
from foretell.data import task_from_loader

generator = torch.Generator().manual_seed(0)
labels = torch.randint(3, (240,), generator=generator)
images = 0.15 * torch.rand(240, 1, 8, 8, generator=generator)
for k in range(3):  # class k has a bright stripe at its own height
    images[labels == k, :, 2 * k + 1] += 0.6

task = task_from_loader(DataLoader(TensorDataset(images, labels), batch_size=32))
print(task)

config = foretell.SearchConfig(
    constraints=("params<=20k",), pool=20, trials=2, epochs=3, final_epochs=6, attacks=()
)
result = foretell.find(config, "runs/own_data", task=task)
print(f"test accuracy {result.winner.test_accuracy:.2%}")
assert result.winner.test_accuracy > 0.8
