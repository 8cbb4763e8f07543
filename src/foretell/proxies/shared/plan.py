"""The planner: the fewest forwards and backwards that a set of proxies needs."""

from dataclasses import dataclass

from foretell.errors import TooFewBatchesError
from foretell.proxies._base import Needs

__all__ = ["Plan", "make_plan"]

_FIRST_ORDER = Needs.GRADS | Needs.FISHER | Needs.BATCH_GRADS | Needs.GRASP
_MAIN = _FIRST_ORDER | Needs.JACOBIAN | Needs.CODES


@dataclass(frozen=True)
class Plan:
    """Forwards and backwards of the pass on one network.

    Args:
        needs: what must be collected.
        main: one forward of the first batch.
        weights: one backward to the weights through it.
        images: one backward to the images through it.
        second: one second-order backward through it.
        more: further batches, each one forward and one backward to the weights.
        synflow: one forward and one backward of a single image.
        zen: two forwards without gradients.
        probe: one forward of two images that only finds the live layers; never with ``main``.
    """

    needs: Needs
    main: bool
    weights: bool
    images: bool
    second: bool
    more: int
    synflow: bool
    zen: bool
    probe: bool

    @property
    def forwards(self) -> int:
        """Forwards that will run, of whatever batch size."""
        return self.main + self.more + self.synflow + 2 * self.zen + self.probe

    @property
    def backwards(self) -> int:
        """Backwards that will run, the second-order one counted once."""
        return self.weights + self.images + self.second + self.more + self.synflow

    @property
    def labels(self) -> bool:
        """Whether the loss is computed."""
        return self.weights


def make_plan(needs: Needs, batches: int, *, closed_form: bool = False) -> Plan:
    """The plan for what a set of proxies needs.

    Args:
        needs: the union of what the proxies read.
        batches: number of batches.
        closed_form: the costs are known without a pass.

    Raises:
        TooFewBatchesError: gradients must be compared over batches and there is one.
    """
    if Needs.BATCH_GRADS in needs and batches < 2:
        raise TooFewBatchesError(
            f"zico and its kin compare gradients over batches: expected at least 2 batches, but "
            f"got {batches}. Make them with make_batches(task, count=2)."
        )
    main = bool(needs & _MAIN)
    rest = needs & (Needs.WEIGHTS | Needs.SYNFLOW | Needs.ZEN)
    if not closed_form:
        rest |= needs & Needs.COSTS
    return Plan(
        needs=needs,
        main=main,
        weights=bool(needs & _FIRST_ORDER),
        images=Needs.JACOBIAN in needs,
        second=Needs.GRASP in needs,
        more=batches - 1 if Needs.BATCH_GRADS in needs else 0,
        synflow=Needs.SYNFLOW in needs,
        zen=Needs.ZEN in needs,
        probe=not main and bool(rest),
    )
