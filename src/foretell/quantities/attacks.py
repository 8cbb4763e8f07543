"""Accuracy under attack, on images of the validation part."""

from foretell.errors import UsageError
from foretell.quantities._base import Quantity, Stage, Subject, register
from foretell.rng import stream_seed

__all__ = ["FGSM", "PGD"]


def _check(text: str) -> float:
    """The size of the largest change of a pixel in 1/255.

    Raises:
        UsageError: it is no number from 0 to 255.
    """
    try:
        eps = float(text)
    except ValueError:
        eps = -1.0
    if not 0 <= eps <= 255:
        raise UsageError(
            f"Expected the largest change of a pixel in 1/255, such as pgd@8, but got {text!r}."
        )
    return eps


def _accuracy(attack: str, subject: Subject, text: str) -> dict[str, float]:
    from foretell.robustness import evaluate

    assert subject.module is not None
    assert subject.task is not None
    eps = _check(text)
    result = evaluate(
        subject.module,
        subject.task,
        attacks=(attack,),
        eps=(eps,),
        images=subject.images,
        seed=stream_seed(subject.seed, "attack"),
        split="val",
        warn=False,
    )
    return {
        "value": result.accuracy[attack][eps],
        "clean": result.clean,
        "images": float(result.images),
        **{f"issue {issue.kind}": issue.share for issue in result.worst()},
    }


def _fgsm(subject: Subject, eps: str) -> dict[str, float]:
    return _accuracy("fgsm", subject, eps)


def _pgd(subject: Subject, eps: str) -> dict[str, float]:
    return _accuracy("pgd", subject, eps)


FGSM = Quantity(
    "fgsm", "fraction", "max", Stage.ATTACKED, measure=_fgsm, argument="eps", check=_check,
    summary="Validation accuracy under FGSM; fgsm@8 changes a pixel by 8/255 at most.",
    reference="Goodfellow et al., ICLR 2015",
)  # fmt: skip
"""Accuracy under FGSM."""
PGD = Quantity(
    "pgd", "fraction", "max", Stage.ATTACKED, measure=_pgd, argument="eps", check=_check,
    summary="Validation accuracy under PGD; pgd@8 changes a pixel by 8/255 at most.",
    reference="Madry et al., ICLR 2018",
)  # fmt: skip
"""Accuracy under PGD."""
for _quantity in (FGSM, PGD):
    register(_quantity)
