"""The contract of a study: a frozen config in, a result out, everything in between in one folder.

A study is a folder of this package, named after its kind, with a module ``study`` that defines
``run`` and ``read``. Its page is ``foretell.report.KIND``, its command a file of ``foretell.cli``.
Nothing lists the studies: the run folder holds the kind, and the kind leads to the code.
"""

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias

import msgspec

from foretell.errors import RunFolderError, UsageError
from foretell.execution import Executor, Function
from foretell.spaces import Space
from foretell.studies.run.progress import OnProgress, silent
from foretell.types import Json

if TYPE_CHECKING:
    from pathlib import Path

    from foretell.benchmarks import Benchmark
    from foretell.data import Task

__all__ = [
    "NO_RESOURCES",
    "MakeExecutor",
    "Resources",
    "Result",
    "Study",
    "StudyConfig",
    "Table",
    "fingerprint",
    "study_of",
]

Table: TypeAlias = Mapping[str, Sequence[object]]
"""Name of a column -> its values; all columns have the same length."""
MakeExecutor: TypeAlias = Callable[[Function], Executor]
"""What runs a study's claims: ``InlineExecutor``, or ``partial(PoolExecutor, workers=4)``."""


@dataclass(frozen=True)
class Resources:
    """What a study needs and JSON cannot hold.

    Args:
        space: a space in memory; then the config's name of a space is not looked up.
        task: images in memory; then the config's data source is not read.
        benchmark: a table in memory; then the config's name of a table is not opened.
        evaluate: a user's own evaluation of an architecture.
        version: of ``evaluate``: results of another version are not taken for those of this one.
    """

    space: Space | None = None
    task: "Task | None" = None
    benchmark: "Benchmark | None" = None
    evaluate: Callable[..., object] | None = None
    version: str = ""


NO_RESOURCES = Resources()


class StudyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one study, readable from and writable to JSON.

    A subclass names in ``MAY_CHANGE`` the settings that leave results as they are, or that only
    add to them: how many trials, which workers, which device.
    """

    KIND: ClassVar[str] = ""
    """Name of the study's folder in ``foretell.studies``."""
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ()

    def identity(self) -> dict[str, Json]:
        """The settings that a resumed run must share; the rest may change between runs."""
        return {k: v for k, v in self.to_json().items() if k not in self.MAY_CHANGE}

    def command(self, out: object) -> str:
        """The command line of these settings, defaults left out.

        Args:
            out: the run folder.
        """
        raise NotImplementedError

    def to_json(self) -> dict[str, Json]:
        """Every setting."""
        data: dict[str, Any] = json.loads(json.dumps(msgspec.to_builtins(self)))
        return data

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """The settings that ``to_json`` wrote.

        Raises:
            UsageError: they are of another version of foretell.
        """
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise UsageError(f"The stored settings cannot be read: {error}.") from error


class Result(Protocol):
    """What a study leaves; the page and the CSV files are made from its tables."""

    def tables(self) -> Mapping[str, Table]:
        """Name of a file without its ending -> its columns."""


class Study(Protocol):
    """The module ``foretell.studies.KIND.study``."""

    CONFIG: type[StudyConfig]
    """Class of its settings, to read those of a run folder."""

    def run(
        self,
        config: Any,
        out: "Path | str",
        *,
        resources: Resources = NO_RESOURCES,
        executor: MakeExecutor | None = None,
        on_progress: OnProgress = silent,
    ) -> Any:
        """Run a study in a folder, or go on with the one that is there.

        Args:
            config: the settings.
            out: the run folder; made if it is not there.
            resources: what JSON cannot hold.
            executor: what runs the claims; by default as the settings say.
            on_progress: told how far each stage is.

        Raises:
            RunFolderError: the folder cannot be written, is in use, or holds another study.
            ForetellError: a setting, the data or the store is at fault.
        """

    def read(self, out: "Path | str") -> Any:
        """What the study in a folder has found so far; a running, stopped or finished one.

        Takes no lock, changes nothing and loads no torch.

        Raises:
            RunFolderError: the folder holds no study of this kind.
        """


def study_of(kind: str) -> Study:
    """The study of a kind.

    Raises:
        RunFolderError: this version of foretell has no such study.
    """
    name = f"foretell.studies.{kind}"
    try:
        module: Any = importlib.import_module(f"{name}.study")
    except ModuleNotFoundError as error:
        if error.name not in (name, f"{name}.study"):
            raise
        raise RunFolderError(
            f"The folder holds a study of the kind {kind!r}, which this version of foretell does "
            f"not know: update foretell."
        ) from None
    study: Study = module
    return study


def fingerprint(value: Json) -> str:
    """Twelve hex digits that stand for a JSON value."""
    return hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=6).hexdigest()
