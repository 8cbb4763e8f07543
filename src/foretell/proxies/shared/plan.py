"""The planner: the fewest forwards and backwards that a set of proxies needs."""

from dataclasses import dataclass

from foretell.errors import TooFewBatchesError
from foretell.proxies.needs import Needs, Step, collectors

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """Forwards and backwards of the pass on one network.

    Args:
        needs: what must be collected.
        main: one forward of the first batch.
        weights: one backward to the weights through it.
        images: one backward to the images through it.
        second: one second-order backward through it.
        probe: one forward of two images that only finds the live layers; never with ``main``.
        own_forwards: forwards of single needs, on further batches or on images of their own.
        own_backwards: their backwards.
    """

    needs: Needs
    main: bool
    weights: bool
    images: bool
    second: bool
    probe: bool
    own_forwards: int
    own_backwards: int

    @property
    def forwards(self) -> int:
        """Forwards that will run, of whatever batch size."""
        return self.main + self.probe + self.own_forwards

    @property
    def backwards(self) -> int:
        """Backwards that will run, the second-order one counted once."""
        return self.weights + self.images + self.second + self.own_backwards

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
    facts = {name: collectors.entry(name).facts for name in needs.names}
    if batches < 2 and any(f["more"] for f in facts.values()):
        raise TooFewBatchesError(
            f"zico and its kin compare gradients over batches: expected at least 2 batches, but "
            f"got {batches}. Make them with make_batches(task, count=2)."
        )
    if closed_form:
        facts.pop("costs", None)
    steps = {f["step"] for f in facts.values()}
    main = any(step >= Step.FORWARD for step in steps)
    further = (batches - 1) * sum(f["more"] for f in facts.values())
    return Plan(
        needs=needs,
        main=main,
        weights=any(step >= Step.WEIGHTS for step in steps),
        images=Step.IMAGES in steps,
        second=Step.SECOND in steps,
        probe=not main and bool(steps),
        own_forwards=further + sum(f["forwards"] for f in facts.values()),
        own_backwards=further + sum(f["backwards"] for f in facts.values()),
    )
