"""The contract of a proxy: a pure function of what one shared pass collected."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from foretell.errors import ProxyError
from foretell.proxies.needs import Needs
from foretell.registry import Entry, Registry

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Collected",
    "Costs",
    "Proxy",
    "SynflowLayer",
    "ZenStats",
    "needs_of",
    "proxies",
]


@dataclass(frozen=True)
class Costs:
    """The free baselines of one network.

    Args:
        params: trainable parameters, those of dead operations included.
        live_params: trainable parameters on some path from input to output.
        flops: multiply-adds of one image.
        sum_log_params: sum over live layers of the log of their number of weights.
        uncounted: operations whose multiply-adds have no formula.
    """

    params: int
    live_params: int
    flops: int
    sum_log_params: float
    uncounted: tuple[str, ...] = ()


@dataclass(frozen=True)
class SynflowLayer:
    """One live layer of the linearised network, both in float64.

    Args:
        weight: absolute values of the weights.
        grad: gradient of the summed logits for an image of ones with respect to the weights.
    """

    weight: "Tensor"
    grad: "Tensor"


@dataclass(frozen=True)
class ZenStats:
    """Statistics of two forwards under N(0, 1) weights.

    Args:
        difference: mean over images of the L1 distance of the features.
        variances: mean running variance of each batch normalisation, (layers,) float64.
    """

    difference: float
    variances: "Tensor"


def _no_labels() -> "Tensor":
    import torch

    return torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True)
class Collected:
    """Results of the shared pass. A field that no requested proxy needs raises.

    Layers are the convolutions and matrix products whose result reaches the output, in the order
    in which they first run; ``weights``, ``grads`` and ``fisher`` are aligned to them.

    Args:
        parts: name of a field -> its value.
        classes: number of outputs of the network.
        labels: class of each image of the first batch, (n,) int64.
        unseen: share of the parameters on a path to the output, vectors such as biases apart, that
            are in no layer; NaN where no pass ran.
    """

    parts: Mapping[str, object]
    classes: int = 0
    labels: "Tensor" = field(default_factory=_no_labels)
    unseen: float = math.nan

    def part(self, name: str) -> object:
        """What the collector of that need returned.

        Raises:
            ProxyError: no requested proxy needs it, or the network does not have it.
        """
        if name not in self.parts:
            need = (
                f"Needs.{name.upper()}" if hasattr(Needs, name.upper()) else f"Needs.of({name!r})"
            )
            raise ProxyError(
                f"{name} was not collected: declare {need} where the proxy is registered."
            )
        value = self.parts[name]
        if isinstance(value, ProxyError):
            raise value
        return value

    @property
    def costs(self) -> Costs:
        """Parameters and multiply-adds."""
        return cast(Costs, self.part("costs"))

    @property
    def weights(self) -> "tuple[Tensor, ...]":
        """Weights of each live layer."""
        return cast("tuple[Tensor, ...]", self.part("weights"))

    @property
    def grads(self) -> "tuple[Tensor, ...]":
        """dloss/dweight of each live layer on the first batch."""
        return cast("tuple[Tensor, ...]", self.part("grads"))

    @property
    def batch_grads(self) -> "tuple[tuple[Tensor, ...], ...]":
        """For each batch, dloss/dweight of each live layer."""
        return cast("tuple[tuple[Tensor, ...], ...]", self.part("batch_grads"))

    @property
    def fisher(self) -> "tuple[Tensor, ...]":
        """For each live layer, (channels,): one half of mean_n (sum_hw a dloss/da)^2."""
        return cast("tuple[Tensor, ...]", self.part("fisher"))

    @property
    def jacobian(self) -> "Tensor":
        """Jacobian of the summed logits with respect to the inputs, (n, c*h*w)."""
        return cast("Tensor", self.part("jacobian"))

    @property
    def codes(self) -> "Tensor":
        """Number of ReLU units on which two images agree, (n, n) float64."""
        return cast("Tensor", self.part("codes"))

    @property
    def grasp(self) -> float:
        """The product w'Hg over the live layers, H the Hessian and g the gradient."""
        return cast(float, self.part("grasp"))

    @property
    def synflow(self) -> tuple[SynflowLayer, ...]:
        """Each live layer of the linearised network."""
        return cast(tuple[SynflowLayer, ...], self.part("synflow"))

    @property
    def zen(self) -> ZenStats:
        """Statistics of two forwards under N(0, 1) weights."""
        return cast(ZenStats, self.part("zen"))


Proxy: TypeAlias = Callable[[Collected], "float | Tensor"]
"""Higher should mean better, as the proxy's paper states; a proxy that cannot be computed raises
ProxyError, and its value is then NaN with the sentence beside it."""

P = TypeVar("P", bound=Proxy)


class ProxyRegistry(Registry[Proxy]):
    """The proxies, with the facts that the planner reads."""

    def add(  # type: ignore[override]
        self,
        name: str,
        *,
        needs: Needs,
        data: str = "labels",
        higher_is_better: bool = True,
        summary: str = "",
        reference: str = "",
    ) -> Callable[[P], P]:
        """A decorator that registers a proxy.

        Args:
            name: the name users type.
            needs: what it reads of the pass.
            data: "none", "images" or "labels": how much of the data it looks at.
            higher_is_better: the direction that its paper states.
            summary: one line; by default the first line of the docstring.
            reference: paper and section.

        Raises:
            DuplicateNameError: the name is taken.
            ProxyError: ``data`` is none of the three.
        """
        return super().add(  # type: ignore[return-value]
            name,
            summary=summary,
            reference=reference,
            needs=needs,
            data=_checked(data),
            higher_is_better=higher_is_better,
        )

    def register(  # type: ignore[override]
        self,
        name: str,
        target: Proxy | str,
        *,
        needs: Needs | None = None,
        data: str = "labels",
        higher_is_better: bool = True,
        summary: str = "",
        reference: str = "",
    ) -> None:
        """Register a function, or a ``module:function`` string that is resolved on first use.

        Args:
            name: the name users type.
            target: the function, or the string that leads to it.
            needs: what it reads of the pass; None where only its module knows.
            data: "none", "images" or "labels": how much of the data it looks at.
            higher_is_better: the direction that its paper states.
            summary: one line.
            reference: paper and section.

        Raises:
            DuplicateNameError: the name is taken.
            ProxyError: ``data`` is none of the three.
        """
        facts: dict[str, object] = {}
        if needs is not None:
            facts = {"needs": needs, "data": _checked(data), "higher_is_better": higher_is_better}
        super().register(name, target, summary=summary, reference=reference, **facts)


def _checked(data: str) -> str:
    if data not in ("none", "images", "labels"):
        raise ProxyError(f"Expected data 'none', 'images' or 'labels', but got {data!r}.")
    return data


proxies = ProxyRegistry("proxy")
"""Every proxy by name."""


def needs_of(entry: Entry[Proxy]) -> Needs:
    """What a registered proxy reads.

    Raises:
        ProxyError: the function was not registered with ``proxies.add``.
    """
    needs = entry.facts.get("needs")
    if not isinstance(needs, Needs):
        raise ProxyError(
            f"{entry.name!r} does not say what it needs: register the function with "
            f"@foretell.proxies.proxies.add(name, needs=Needs.GRADS)."
        )
    return needs
