"""The error tree: one base, one sentence each, the values as attributes.

Every error says what was expected, what came and what to do. The command line prints the sentence
alone and exits with 2; a library user catches the class.
"""

from collections.abc import Iterable
from typing import Any

__all__ = [
    "ArchError",
    "BenchmarkError",
    "BrokenImageError",
    "CheckpointError",
    "ConstraintError",
    "DataError",
    "DeadNetworkError",
    "DownloadError",
    "DuplicateNameError",
    "EmptySplitError",
    "ExportError",
    "ForetellError",
    "ImageShapeError",
    "LabelError",
    "MeasurementLockError",
    "MissingDataError",
    "MissingExtraError",
    "MissingValueError",
    "ModuleRaisedError",
    "NetworkError",
    "NoFeasibleArchError",
    "NoParametersError",
    "NonFiniteLossError",
    "NonFinitePixelsError",
    "OneClassError",
    "OutOfTableError",
    "PluginError",
    "PredictorError",
    "ProxyError",
    "QuantityError",
    "RunFolderError",
    "SearchError",
    "SpaceError",
    "StoreError",
    "StoreFullError",
    "StoreLockedError",
    "StoreVersionError",
    "StudyConflictError",
    "TableFormatError",
    "TooFewBatchesError",
    "TrainingError",
    "TrialPrunedError",
    "UnknownNameError",
    "UnsafePickleError",
    "UsageError",
    "WorkerError",
]


class ForetellError(Exception):
    """Base of every error that foretell raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way back from a worker process, whatever ``__init__`` takes."""
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(
    kind: type[ForetellError], args: tuple[Any, ...], values: dict[str, Any]
) -> ForetellError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(values)
    return error


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


class ImageShapeError(DataError):
    """Images have a shape that cannot be used."""


class LabelError(DataError):
    """Labels do not match the images, the class names or one another."""


class MissingDataError(DataError):
    """There is no such file or folder, or nothing of use in it."""


class NonFinitePixelsError(DataError):
    """An image holds infinite pixels, or such that are no number."""


class UnsafePickleError(DataError):
    """A pickle asks for more than plain data; nothing in it was run.

    Args:
        found: the name it asked for.
        what: the file.
    """

    def __init__(self, found: str, what: str = "the pickle") -> None:
        """Store the values and write the sentence."""
        self.found, self.what = found, what
        super().__init__(
            f"{what} asks for {found}, which plain data never do, so it was not read: use the "
            f"official file."
        )

    def __reduce__(self) -> tuple[type["UnsafePickleError"], tuple[str, str]]:
        """Survive the way back from a worker process."""
        return type(self), (self.found, self.what)


class OneClassError(DataError):
    """The data hold fewer than two classes."""


class EmptySplitError(DataError):
    """A train, validation or test part would have no image."""


class PredictorError(ForetellError):
    """A predictor cannot learn from what it was given, or was asked for something else."""


class BenchmarkError(ForetellError):
    """A table of trained networks cannot be read, or does not hold what was asked for."""


class OutOfTableError(BenchmarkError):
    """An architecture is not in the table."""


class MissingValueError(BenchmarkError):
    """The table holds the architecture, but nothing was measured for it."""


class TableFormatError(BenchmarkError):
    """A file of a benchmark is not of the format it should be, or is cut off or damaged."""


class DownloadError(BenchmarkError):
    """A file could not be downloaded, or is not what was expected."""


class ConstraintError(ForetellError):
    """A constraint cannot be understood or applied."""


class NoFeasibleArchError(ConstraintError):
    """No architecture that was drawn meets the constraints."""


class TrialPrunedError(ForetellError):
    """A trial was ended early, because what it reported was worse than others at that step.

    Args:
        sentence: what was compared.
        value: what is known of it, as JSON.
    """

    def __init__(self, sentence: str, value: Any = None) -> None:
        """Make the sentence."""
        super().__init__(sentence)
        self.value = value

    def __reduce__(self) -> tuple[type["TrialPrunedError"], tuple[str, Any]]:
        """Survive the way from a worker process."""
        return type(self), (str(self), self.value)


class QuantityError(ForetellError):
    """A quantity could not be measured, or its value is no finite number.

    Args:
        name: of the quantity.
        why: as the end of a sentence.
    """

    def __init__(self, name: str, why: str) -> None:
        """Make the sentence."""
        super().__init__(f"{name} could not be measured: {why}.")
        self.name, self.why = name, why

    def __reduce__(self) -> tuple[type["QuantityError"], tuple[str, str]]:
        """Survive the way from a worker process."""
        return type(self), (self.name, self.why)


class SpaceError(ForetellError):
    """A search space is declared in a way that cannot work."""


class NetworkError(ForetellError):
    """A network cannot be built, run or measured."""


class ModuleRaisedError(NetworkError):
    """The user's module raised while it was built or run; the cause is chained."""


class NoParametersError(NetworkError):
    """A module without parameters was given where weights are needed."""


class DeadNetworkError(NetworkError):
    """No path leads from the images to the output."""


class MeasurementLockError(ForetellError):
    """Another process measured latency for longer than one waits, or the lock cannot be used."""


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


class CheckpointError(TrainingError):
    """A checkpoint cannot be read, or belongs to another run."""


class ExportError(ForetellError):
    """A trained network cannot be written to files, or read back."""


class SearchError(ForetellError):
    """A searcher was used in a way it cannot serve."""


class StoreError(ForetellError):
    """The study's store cannot be read or written."""


class StoreFullError(StoreError):
    """The disk or a quota is full; what was committed before is kept."""


class StoreLockedError(StoreError):
    """Another process held the store for longer than the busy timeout."""


class StoreVersionError(StoreError):
    """The store was written by another version of the format.

    Args:
        path: the store's file.
        found: format version of the file.
        expected: format version of this package.
    """

    def __init__(self, path: object, found: int, expected: int) -> None:
        """Store the values and write the sentence."""
        self.path, self.found, self.expected = str(path), found, expected
        advice = (
            "install a newer foretell"
            if found > expected
            else "use the foretell that wrote it, or choose another run folder"
        )
        super().__init__(
            f"The store {self.path!r} has format {found}, but this foretell reads and writes "
            f"format {expected}: {advice}."
        )

    def __reduce__(self) -> tuple[type["StoreVersionError"], tuple[str, int, int]]:
        """Survive the way back from a worker process."""
        return type(self), (self.path, self.found, self.expected)


class StudyConflictError(StoreError):
    """A study, a trial or a table of scores is stored already, with other content."""


class RunFolderError(ForetellError):
    """The run folder cannot be created or written, or belongs to another run."""


class WorkerError(ForetellError):
    """Worker processes cannot be started, or cannot load what they are to run."""
