"""Costs of architectures as a search asks for them: again and again, so each is computed once."""

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from foretell.arch import Arch
from foretell.errors import ForetellError, QuantityError
from foretell.quantities import Quantity, Subject
from foretell.spaces import CostTable, Skeleton, Space, name_of

__all__ = ["CostBook"]


class CostBook:
    """Remembers the costs of every architecture it was asked about.

    Closed forms where the space has them (then torch stays unloaded), else the meta device.

    Args:
        space: whose architectures.
        skeleton: what surrounds their genes.
    """

    def __init__(self, space: Space, skeleton: Skeleton) -> None:
        """Start with an empty book."""
        self.space, self.skeleton = space, skeleton
        self.failures: dict[Arch, str] = {}
        """Architectures that could not be built or traced, and why; they count as not alive."""
        self.unmeasured: dict[tuple[Arch, str], str] = {}
        """Architectures and quantities whose own function failed, and how."""
        self._rows: dict[Arch, tuple[float, ...]] = {}
        self._values: dict[tuple[Arch, str], float] = {}

    def __call__(self, archs: Sequence[Arch]) -> CostTable:
        """Costs of n architectures, in order; see ``failures``."""
        if new := [a for a in dict.fromkeys(archs) if a not in self._rows]:
            table = self.space.costs(new, self.skeleton)
            if table is None:
                from foretell.cost import costs

                name_of(self.space)  # another one in memory may have taken its name
                failed: dict[int, ForetellError] = {}
                table = costs(new, self.skeleton, failures=failed)
                self.failures |= {new[i]: str(error) for i, error in failed.items()}
            columns = [getattr(table, f.name).tolist() for f in fields(CostTable)]
            self._rows |= dict(zip(new, zip(*columns, strict=True), strict=True))
        rows = [self._rows[a] for a in archs]
        columns_out = list(zip(*rows, strict=True)) or [()] * len(fields(CostTable))
        return CostTable(
            *(
                np.array(column, dtype=_DTYPES[f.name])
                for f, column in zip(fields(CostTable), columns_out, strict=True)
            )
        )

    @property
    def archs(self) -> tuple[Arch, ...]:
        """Those whose costs were asked for."""
        return tuple(self._rows)

    def value(self, quantity: Quantity, arch: Arch) -> float:
        """A quantity that is known without building: a cost, or what its own function says.

        NaN, and the reason in ``unmeasured``, where that function fails.
        """
        if quantity.name in _DTYPES:
            return float(self([arch]).limited(quantity.name)[0])
        if (arch, quantity.name) not in self._values:
            subject = Subject(arch, self.space, skeleton=self.skeleton)
            try:
                value = quantity.value(subject)[0]
            except Exception as error:  # a user's function: it costs this architecture only
                named = f"{type(error).__name__}: {error}"
                why = error.why if isinstance(error, QuantityError) else named
                self.unmeasured[arch, quantity.name] = why
                value = math.nan
            self._values[arch, quantity.name] = value
        return self._values[arch, quantity.name]


_DTYPES = {
    "params": np.int64,
    "live_params": np.int64,
    "flops": np.int64,
    "memory": np.int64,
    "sum_log_params": np.float64,
    "alive": np.bool_,
}
