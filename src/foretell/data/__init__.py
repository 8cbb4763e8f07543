"""Tasks of images and labels: embedded, from files, synthetic, or from any loader."""

from foretell.data import cifar, clutter, digits, folder, npz, synthetic  # noqa: F401  (they register)
from foretell.data._base import Split, Task, make_task, stratified_sample
from foretell.data._load import load_task, skipping_broken
from foretell.data._source import Options, Source, sources
from foretell.data.loader import task_from_loader

__all__ = [
    "Options",
    "Source",
    "Split",
    "Task",
    "load_task",
    "make_task",
    "skipping_broken",
    "sources",
    "stratified_sample",
    "task_from_loader",
]
