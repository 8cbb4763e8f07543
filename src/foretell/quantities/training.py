"""What training gives: accuracy and loss on the validation part, and how long it took."""

from foretell.quantities._base import Quantity, Stage, Subject, register

__all__ = ["ACCURACY", "LOSS", "SECONDS"]


def _accuracy(subject: Subject) -> float:
    assert subject.training is not None
    return subject.training.val_accuracy


def _loss(subject: Subject) -> float:
    assert subject.training is not None
    return subject.training.curves.val_loss[-1]


def _seconds(subject: Subject) -> float:
    assert subject.training is not None
    return subject.training.seconds


ACCURACY = Quantity(
    "accuracy", "fraction", "max", Stage.TRAINED, measure=_accuracy,
    summary="Accuracy on the validation part after the last epoch.",
)  # fmt: skip
"""Validation accuracy."""
LOSS = Quantity(
    "loss", "nats", "min", Stage.TRAINED, measure=_loss,
    summary="Cross-entropy on the validation part after the last epoch.",
)  # fmt: skip
"""Validation loss in nats."""
SECONDS = Quantity(
    "seconds", "s", "min", Stage.TRAINED, reproducible=False, measure=_seconds,
    summary="Wall time of the training.",
)  # fmt: skip
"""Training time in seconds."""
for _quantity in (ACCURACY, LOSS, SECONDS):
    register(_quantity)
