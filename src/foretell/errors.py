"""The error tree: one base, one sentence each, the values as attributes.

Every error says what was expected, what came and what to do. The command line prints the sentence
alone and exits with 2; a library user catches the class.
"""

from collections.abc import Iterable

__all__ = [
    "ArchError",
    "BrokenImageError",
    "ConstraintError",
    "DataError",
    "DuplicateNameError",
    "EmptySplitError",
    "ForetellError",
    "MissingExtraError",
    "ModuleRaisedError",
    "NetworkError",
    "NoFeasibleArchError",
    "NoParametersError",
    "NonFiniteLossError",
    "OneClassError",
    "PluginError",
    "ProxyError",
    "RunFolderError",
    "SearchError",
    "StoreError",
    "StoreVersionError",
    "TooFewBatchesError",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
]


class ForetellError(Exception):
    """Base of every error that foretell raises on purpose."""


class UsageError(ForetellError):
    """An option or argument has a value that cannot be used."""


class UnknownNameError(ForetellError):
    """A registry holds no entry of that name.

    Args:
        kind: what was looked for, such as "proxy".
        name: the name asked for.
        nearest: registered names that look alike, best first.
        known: every registered name.
    """

    def __init__(self, kind: str, name: str, nearest: Iterable[str], known: Iterable[str]) -> None:
        """Store the values and write the sentence."""
        self.kind, self.name = kind, name
        self.nearest, self.known = tuple(nearest), tuple(known)
        hint = (
            f"did you mean {' or '.join(self.nearest)}?"
            if self.nearest
            else f"known are: {', '.join(self.known) or 'none'}."
        )
        super().__init__(f"Unknown {kind} {name!r}: {hint}")


class DuplicateNameError(ForetellError):
    """A registry already holds an entry of that name."""

    def __init__(self, kind: str, name: str) -> None:
        """Store the values and write the sentence."""
        self.kind, self.name = kind, name
        super().__init__(f"A {kind} named {name!r} is registered already: choose another name.")


class PluginError(ForetellError):
    """A ``module:attribute`` or ``file.py:attribute`` string could not be resolved."""


class MissingExtraError(ForetellError):
    """An optional dependency is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        """Store the values and write the sentence."""
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(
            f"{purpose} needs the package {package}: install it with "
            f"pip install 'foretell[{extra}]'."
        )


class ArchError(ForetellError):
    """A text or a tuple of genes is no architecture of the space."""


class DataError(ForetellError):
    """A data source cannot be read, or holds what no task can be made of."""


class BrokenImageError(DataError):
    """An image file cannot be decoded."""


class OneClassError(DataError):
    """The data hold fewer than two classes."""


class EmptySplitError(DataError):
    """A train, validation or test part would have no image."""


class ConstraintError(ForetellError):
    """A constraint cannot be understood or applied."""


class NoFeasibleArchError(ConstraintError):
    """No architecture that was drawn meets the constraints."""


class NetworkError(ForetellError):
    """A network cannot be built, run or measured."""


class ModuleRaisedError(NetworkError):
    """The user's module raised while it was built or run; the cause is chained."""


class NoParametersError(NetworkError):
    """A module without parameters was given where weights are needed."""


class ProxyError(ForetellError):
    """A proxy cannot be computed on what it was given."""


class TooFewBatchesError(ProxyError):
    """A proxy that compares batches was given fewer than it needs."""


class TrainingError(ForetellError):
    """A training run failed."""


class NonFiniteLossError(TrainingError):
    """The training loss became infinite or not a number.

    Args:
        epoch: the epoch, counted from 0, in which it happened.
        loss: the loss that was seen.
    """

    def __init__(self, epoch: int, loss: float) -> None:
        """Store the values and write the sentence."""
        self.epoch, self.loss = epoch, loss
        super().__init__(
            f"The training loss became {loss} in epoch {epoch + 1}: lower the learning rate "
            f"(--lr) or look for non-finite values in the data."
        )

    def __reduce__(self) -> tuple[type["NonFiniteLossError"], tuple[int, float]]:
        """Survive the way back from a worker process."""
        return type(self), (self.epoch, self.loss)


class SearchError(ForetellError):
    """A searcher was used in a way it cannot serve."""


class StoreError(ForetellError):
    """The study's store cannot be read or written."""


class StoreVersionError(StoreError):
    """The store was written by another version of the format."""


class RunFolderError(ForetellError):
    """The run folder cannot be created or written, or belongs to another run."""
