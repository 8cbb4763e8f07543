"""The catalogue of attacks, without torch; the functions are imported when they are first used."""

from typing import TYPE_CHECKING

from foretell.registry import Registry

if TYPE_CHECKING:
    from foretell.robustness.linf import Attack

__all__ = ["attacks"]

attacks: "Registry[Attack]" = Registry("attack")
"""Every attack by name; a summary is the first line of the function's docstring."""

attacks.register(
    "fgsm",
    "foretell.robustness.linf:fgsm",
    summary="One step of size eps along the sign of the gradient.",
    reference="Goodfellow et al., ICLR 2015, section 4",
)
attacks.register(
    "pgd",
    "foretell.robustness.linf:pgd_until_wrong",
    summary="Repeated small steps along the sign of the gradient, projected back into the ball.",
    reference="Madry et al., ICLR 2018, section 2.1",
)
