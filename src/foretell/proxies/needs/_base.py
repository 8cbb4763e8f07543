"""What proxies read of the shared pass: a need is a name, its place in the pass, and a collector.

The registry is light: a collector is imported when the pass first needs it. A need from outside is
one file, which registers its collector by ``collectors.add`` and names it by ``Needs.of``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, TypeVar

from foretell.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from foretell.proxies.autograd_pass.network import Pass

__all__ = ["Collector", "CollectorRegistry", "Needs", "Step", "collectors"]


class Step(IntEnum):
    """The step of the pass after which a need can be collected; each includes the forward."""

    LAYERS = 0
    """The live layers are known: a forward of two images is enough."""
    FORWARD = 1
    """One forward of the first batch."""
    IMAGES = 2
    """One backward from the summed logits to the images."""
    WEIGHTS = 3
    """One backward from the loss to the weights of the live layers."""
    SECOND = 4
    """The same backward with a graph of its own, for one backward of second order."""


class Collector(ABC):
    """Collects one need from one network; a fresh one is made for each network.

    Hooks that do nothing here run during the forward of the first batch and the backward from its
    loss; override those that the need takes.

    Args:
        n: number of images in that forward.
    """

    by_row: bool = False
    """While ``layer`` or ``relu`` runs: whether image i of n is the i-th of n equal blocks along
    the first axis of the tensor."""

    def __init__(self, n: int) -> None:
        """Only stores."""
        self.n = n

    def layer(self, index: int, out: "Tensor") -> None:  # noqa: B027
        """A convolution or matrix product has run.

        Args:
            index: of the call, which is ``run.layers[index]`` later.
            out: its result, in the autograd graph. Where ``by_row`` does not hold now,
                ``run.layer_layout`` says later where the images are in it.
        """

    def relu(self, index: int, x: "Tensor") -> None:  # noqa: B027
        """A ReLU is about to run.

        Args:
            index: of the call, which is ``run.relus[index]`` later.
            x: above 0 where its units are active: its input, (n, ...), or whether that is above a
                threshold that is not 0. Where ``by_row`` does not hold now, ``run.relu_layout``
                says later where the images are in it.
        """

    def write(self, x: "Tensor") -> None:  # noqa: B027
        """An operation is about to write into a tensor."""

    def backward(self, running: bool) -> None:  # noqa: B027
        """The backward from the loss to the weights begins or has ended."""

    @abstractmethod
    def collect(self, run: "Pass") -> object:
        """The need's value, which proxies read by ``Collected.part``.

        Args:
            run: the pass after the need's step.

        Raises:
            ProxyError: the network does not have it; only the proxies that read it have no value.
        """


C = TypeVar("C", bound=Collector)


class CollectorRegistry(Registry[type[Collector]]):
    """The collectors by the name of their need, with the facts that the planner reads."""

    def add(  # type: ignore[override]
        self,
        name: str,
        *,
        step: Step,
        forwards: int = 0,
        backwards: int = 0,
        more: bool = False,
        summary: str = "",
        reference: str = "",
    ) -> Callable[[type[C]], type[C]]:
        """A decorator that registers a collector.

        Args:
            name: of the need.
            step: after which it can be collected.
            forwards: of its own.
            backwards: of its own.
            more: one forward and one backward more for each further batch.
            summary: one line; by default the first line of the docstring.
            reference: paper and section.

        Raises:
            DuplicateNameError: the name is taken.
        """
        return super().add(  # type: ignore[return-value]
            name,
            summary=summary,
            reference=reference,
            step=step,
            forwards=forwards,
            backwards=backwards,
            more=more,
        )


collectors = CollectorRegistry("need")
"""Collectors by the name of their need."""


@dataclass(frozen=True)
class Needs:
    """What a proxy reads; the planner runs the union over the requested proxies.

    Args:
        names: of needs.
    """

    names: frozenset[str] = frozenset()

    NONE: ClassVar["Needs"]
    """Nothing."""
    COSTS: ClassVar["Needs"]
    """Parameters and multiply-adds: no pass where the space has a closed form."""
    WEIGHTS: ClassVar["Needs"]
    """The weights of the live layers."""
    GRADS: ClassVar["Needs"]
    """dloss/dweight of the live layers on the first batch: one forward, one backward."""
    FISHER: ClassVar["Needs"]
    """Per channel of each live layer, 1/2 mean_n (sum_hw a dloss/da)^2: the same backward."""
    BATCH_GRADS: ClassVar["Needs"]
    """dloss/dweight on every batch: one forward and backward more for each further batch."""
    JACOBIAN: ClassVar["Needs"]
    """Jacobian of the summed logits with respect to the inputs: one more backward."""
    CODES: ClassVar["Needs"]
    """Number of ReLU units on which two images agree, for each pair: the same forward."""
    GRASP: ClassVar["Needs"]
    """w'Hg over the live layers: one second-order backward."""
    SYNFLOW: ClassVar["Needs"]
    """Weights and gradients of the linearised network: one forward and backward of one image."""
    ZEN: ClassVar["Needs"]
    """Features of an input and its perturbation under N(0, 1) weights: two forwards."""

    @classmethod
    def of(cls, *names: str) -> "Needs":
        """The needs of these names.

        Raises:
            UnknownNameError: no collector has that name.
        """
        return cls(frozenset(collectors.entry(name).name for name in names))

    def __or__(self, other: "Needs") -> "Needs":
        """Those of either."""
        return Needs(self.names | other.names)

    def __and__(self, other: "Needs") -> "Needs":
        """Those of both."""
        return Needs(self.names & other.names)

    def __invert__(self) -> "Needs":
        """All others."""
        return Needs(frozenset(collectors) - self.names)

    def __contains__(self, other: "Needs") -> bool:
        """Whether all of the other's are among them."""
        return other.names <= self.names

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.names)

    def __str__(self) -> str:
        """The names in the order of the registry."""
        return ", ".join(name for name in collectors if name in self.names) or "none"


def _own(
    target: str,
    step: Step,
    *,
    forwards: int = 0,
    backwards: int = 0,
    more: bool = False,
) -> Needs:
    """Register a need of the package: its collector's file has its name."""
    name = target.partition(":")[0]
    collectors.register(
        name,
        f"foretell.proxies.autograd_pass.needs.{target}",
        step=step,
        forwards=forwards,
        backwards=backwards,
        more=more,
    )
    return Needs(frozenset({name}))


Needs.NONE = Needs()
Needs.COSTS = _own("costs:CostCollector", Step.LAYERS)
Needs.WEIGHTS = _own("weights:WeightCollector", Step.LAYERS)
Needs.GRADS = _own("grads:GradCollector", Step.WEIGHTS)
Needs.FISHER = _own("fisher:FisherCollector", Step.WEIGHTS)
Needs.BATCH_GRADS = _own("batch_grads:BatchGradCollector", Step.WEIGHTS, more=True)
Needs.JACOBIAN = _own("jacobian:JacobianCollector", Step.IMAGES)
Needs.CODES = _own("codes:CodeCollector", Step.FORWARD)
Needs.GRASP = _own("grasp:GraspCollector", Step.SECOND)
Needs.SYNFLOW = _own("synflow:SynflowCollector", Step.LAYERS, forwards=1, backwards=1)
Needs.ZEN = _own("zen:ZenCollector", Step.LAYERS, forwards=2)
