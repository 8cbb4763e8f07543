"""The exception hierarchy of foretell.

Every message says what was expected, what was given and what to do. The command line prints the
message and exits with 2; library users catch the class.
"""

from collections.abc import Iterable
from typing import Any

__all__ = [
    "ArchError",
    "AttackWarning",
    "BenchmarkError",
    "BrokenImageError",
    "CheckpointError",
    "ConstraintError",
    "CurveError",
    "DataError",
    "DataWarning",
    "DeadNetworkError",
    "DownloadError",
    "DuplicateNameError",
    "EmptySplitError",
    "ExportError",
    "ExportWarning",
    "ForetellError",
    "ForetellWarning",
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
    "NonFiniteLogitsError",
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
    "UncountedError",
    "UnknownNameError",
    "UnsafePickleError",
    "UntrustedError",
    "UsageError",
    "WorkerError",
]


class ForetellError(Exception):
    """Base class of all errors raised by foretell."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling, whatever the arguments of ``__init__``."""
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(
    kind: type[ForetellError], args: tuple[Any, ...], values: dict[str, Any]
) -> ForetellError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(values)
    return error


class ForetellWarning(UserWarning):
    """Base class of all warnings of foretell: a value is given, but says less than it seems."""


class AttackWarning(ForetellWarning):
    """An attack cannot see the network's gradient, so that accuracy under attack is too high."""


class DataWarning(ForetellWarning):
    """Data can be used, but may not be what was meant."""


class UsageError(ForetellError):
    """An option or argument has a value that cannot be used."""


class UnknownNameError(ForetellError):
    """A registry holds no entry of that name.

    Args:
        kind: of the name, such as "proxy".
        name: the requested name.
        nearest: the most similar registered names, best first.
        known: every registered name.
    """

    def __init__(self, kind: str, name: str, nearest: Iterable[str], known: Iterable[str]) -> None:
        """Store the values and format the message."""
        self.kind, self.name = kind, name
        self.nearest, self.known = tuple(nearest), tuple(known)
        hint = (
            f"did you mean {' or '.join(self.nearest)}?"
            if self.nearest
            else f"known are: {', '.join(map(str, self.known)) or 'none'}."
        )
        super().__init__(f"Unknown {kind} {name!r}: {hint}")


class DuplicateNameError(ForetellError):
    """A registry already holds an entry of that name."""

    def __init__(self, kind: str, name: str) -> None:
        """Store the values and format the message."""
        self.kind, self.name = kind, name
        super().__init__(f"A {kind} named {name!r} is registered already: choose another name.")


class PluginError(ForetellError):
    """A ``module:attribute`` or ``file.py:attribute`` string could not be resolved."""


class MissingExtraError(ForetellError):
    """An optional dependency is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        """Store the values and format the message."""
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(
            f"{purpose} needs the package {package}: install it with "
            f"pip install 'foretell[{extra}]'."
        )


class ArchError(ForetellError):
    """A text or a tuple of genes is no architecture of the space."""


class DataError(ForetellError):
    """A data source cannot be read, or does not contain a valid task."""


class BrokenImageError(DataError):
    """An image file cannot be decoded."""


class ImageShapeError(DataError):
    """Images have a shape that cannot be used."""


class LabelError(DataError):
    """Labels do not match the images, the class names or one another."""


class MissingDataError(DataError):
    """A file or folder is missing or empty."""


class NonFinitePixelsError(DataError):
    """An image has infinite or NaN pixels."""


class UnsafePickleError(DataError):
    """A pickle contains more than plain data; nothing was run.

    Args:
        found: the name it refers to.
        what: the file.
    """

    def __init__(self, found: str, what: str = "the pickle") -> None:
        """Store the values and format the message."""
        self.found, self.what = found, what
        super().__init__(
            f"{what} asks for {found}, which plain data never do, so it was not read: use the "
            f"official file."
        )

    def __reduce__(self) -> tuple[type["UnsafePickleError"], tuple[str, str]]:
        """Support pickling."""
        return type(self), (self.found, self.what)


class OneClassError(DataError):
    """The data hold fewer than two classes."""


class EmptySplitError(DataError):
    """A train, validation or test part would have no image."""


class PredictorError(ForetellError):
    """A predictor cannot be fitted on the given data, or be used as requested."""


class CurveError(ForetellError):
    """Learning curves are invalid, or lack what a predictor of curves needs."""


class BenchmarkError(ForetellError):
    """A table of trained networks cannot be read, or does not have the requested values."""


class OutOfTableError(BenchmarkError):
    """An architecture is not in the table."""


class MissingValueError(BenchmarkError):
    """The table has the architecture, but no value for it."""


class TableFormatError(BenchmarkError):
    """A file of a benchmark has another format, or is truncated or corrupt."""


class DownloadError(BenchmarkError):
    """A file could not be downloaded, or differs from the expected one."""


class ConstraintError(ForetellError):
    """A constraint cannot be parsed or applied."""


class NoFeasibleArchError(ConstraintError):
    """No sampled architecture meets the constraints."""


class TrialPrunedError(ForetellError):
    """A trial was pruned, because its reported value was worse than others at that step.

    Args:
        sentence: what was compared.
        value: what is known of it, as JSON.
    """

    def __init__(self, sentence: str, value: Any = None) -> None:
        """Format the message."""
        super().__init__(sentence)
        self.value = value

    def __reduce__(self) -> tuple[type["TrialPrunedError"], tuple[str, Any]]:
        """Support pickling."""
        return type(self), (str(self), self.value)


class QuantityError(ForetellError):
    """A quantity could not be measured, or its value is no finite number.

    Args:
        name: of the quantity.
        why: as the end of a sentence.
    """

    def __init__(self, name: str, why: str) -> None:
        """Format the message."""
        super().__init__(f"{name} could not be measured: {why}.")
        self.name, self.why = name, why

    def __reduce__(self) -> tuple[type["QuantityError"], tuple[str, str]]:
        """Support pickling."""
        return type(self), (self.name, self.why)


class SpaceError(ForetellError):
    """The declaration of a search space is invalid."""


class NetworkError(ForetellError):
    """A network cannot be built, run or measured."""


class ModuleRaisedError(NetworkError):
    """The user's module raised while it was built or run; the cause is chained."""


class UncountedError(NetworkError):
    """A network runs an operation whose multiply-adds have no formula.

    Args:
        module: name of its class.
        operations: their names.
    """

    def __init__(self, module: str, operations: Iterable[str]) -> None:
        """Store the values and format the message."""
        self.module, self.operations = module, tuple(operations)
        super().__init__(
            f"The multiply-adds of {module} cannot be counted: {', '.join(self.operations)} has no "
            f"formula. Give it one by torch.utils.flop_counter.register_flop_formula."
        )


class NonFiniteLogitsError(NetworkError):
    """A network's outputs are not a number, or infinite, so that they name no class."""


class NoParametersError(NetworkError):
    """A module has no parameters where weights are needed."""


class DeadNetworkError(NetworkError):
    """No path leads from the images to the output."""


class MeasurementLockError(ForetellError):
    """The lock of latency measurements was not free in time, or cannot be used."""


class ProxyError(ForetellError):
    """A proxy cannot be computed."""


class TooFewBatchesError(ProxyError):
    """A proxy needs more batches."""


class TrainingError(ForetellError):
    """A training run failed."""


class NonFiniteLossError(TrainingError):
    """The training loss became infinite or not a number.

    Args:
        epoch: counted from 0.
        loss: its value.
    """

    def __init__(self, epoch: int, loss: float) -> None:
        """Store the values and format the message."""
        self.epoch, self.loss = epoch, loss
        super().__init__(
            f"The training loss became {loss} in epoch {epoch + 1}: lower the learning rate "
            f"(--lr) or look for non-finite values in the data."
        )


class CheckpointError(TrainingError):
    """A checkpoint cannot be read, or belongs to another run."""


class ExportError(ForetellError):
    """A trained network cannot be written to files, or read back."""


class ExportWarning(ForetellWarning):
    """An exported file is less than what was asked for; the sentence says how."""


class SearchError(ForetellError):
    """A searcher was used in an unsupported way."""


class StoreError(ForetellError):
    """The study's store cannot be read or written."""


class StoreFullError(StoreError):
    """The disk or a quota is full; earlier commits are preserved."""


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
        """Store the values and format the message."""
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
        """Support pickling."""
        return type(self), (self.path, self.found, self.expected)


class StudyConflictError(StoreError):
    """A study, a trial or a table of scores is already stored with other content."""


class RunFolderError(ForetellError):
    """The run folder cannot be created or written, or belongs to another run."""


class UntrustedError(ForetellError):
    """Code of somebody else, or code that was changed, would run; nothing was run."""


class WorkerError(ForetellError):
    """Worker processes cannot be started, or cannot load the function."""
