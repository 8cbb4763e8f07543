"""One run of a study in its folder: lock, store, identity, log and progress."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from foretell.errors import RunFolderError, StoreError, StudyConflictError
from foretell.execution import Executor
from foretell.files import user_path
from foretell.store import Store, Study, is_dead, is_here, owner_name
from foretell.studies._base import StudyConfig, Table
from foretell.studies.run.damaged import damage_in
from foretell.studies.run.faults.interrupted import Interrupted
from foretell.studies.run.folder import RunFolder
from foretell.studies.run.inside import tell_children
from foretell.studies.run.log import Log
from foretell.studies.run.progress import OnProgress, Progress, Tracker, silent
from foretell.tables import write_table
from foretell.trust import code_files, signature
from foretell.types import Json

__all__ = [
    "Session",
    "is_running",
    "kind_in",
    "open_session",
    "reading",
    "stored_settings",
]

_SETTINGS, _OWNER, _TRUST, _SIGN = "settings", "owner", "trust", "last sign of life"
_BEAT_SECONDS = 2.0
_SILENT_SECONDS = 300.0
"""After so long without a sign a run on another host counts as stopped; clocks differ."""


class Session:
    """A run that holds its folder.

    Args:
        config: the settings.
        folder: the run folder, locked.
        on_progress: told how far each stage is.
    """

    def __init__(self, config: StudyConfig, folder: RunFolder, on_progress: OnProgress) -> None:
        """Nothing is written yet."""
        self.config, self.folder = config, folder
        self.kind = config.KIND
        self._fault = folder.fault_left()  # before this run watches for its own
        self.log = Log(folder.path / "log.txt")
        self.on_progress = self._both(on_progress)
        self.tell = Tracker(self.on_progress)
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()
        self._store: Store | None = None
        self._interrupted: Interrupted | None = None
        self._ended = threading.Event()
        self._beat = threading.Thread(target=self._give_signs, name="foretell-life", daemon=True)

    @property
    def interrupted(self) -> Interrupted:
        """What ended runs in this folder before; there once the folder is claimed."""
        assert self._interrupted is not None
        return self._interrupted

    @property
    def store(self) -> Store:
        """The study's store; there once the folder is claimed."""
        assert self._store is not None
        return self._store

    def claim(self, extra: Mapping[str, Json] | None = None) -> None:
        """Make the folder this study's, or see that it is already.

        To be called when settings, data, device and constraints were checked: a study that cannot
        run leaves nothing behind.

        Args:
            extra: what the identity holds beside the settings, such as a fingerprint of the data.

        Raises:
            RunFolderError: it holds a study with other settings or data; the first one is named.
        """
        identity: dict[str, Json] = {**self.config.identity(), **(extra or {})}
        with contextlib.ExitStack() as refused:
            store = refused.enter_context(Store(self.folder.store))
            self._claim(store, identity)
            refused.pop_all()
        self._store = store
        self._sign()
        self._interrupted = Interrupted(
            store,
            self.kind,
            last_sign=float(self.value(_SIGN) or 0.0),
            last_owner=self.value(_OWNER) or "",
            fault=self._fault,
        )
        self._beat.start()
        self.put(_SETTINGS, self.config.to_json())
        self.put(_OWNER, owner_name())
        self.log.write(f"start: {self.config.command(self.folder.path)}")

    def _sign(self) -> None:
        """Record the files of code that these settings use, signed by this user."""
        settings = self.config.to_json()
        files = code_files(settings)
        content: Json = {"kind": self.kind, "settings": settings, "files": files}
        try:
            self.put(_TRUST, {"files": files, "signature": signature(content)})
        except OSError as error:
            self.log.write(f"not signed, so that resume will ask for --trust: {error}")

    def _claim(self, store: Store, identity: Mapping[str, Json]) -> None:
        names = [s.name for s in store.studies()]
        others = [n for n in names if n.partition("/")[0] != self.kind]
        if others:
            raise RunFolderError(
                f"{str(self.folder.path)!r} holds a study of another kind, {_words(others[0])}: "
                f"choose another folder with --out."
            )
        try:
            store.put_study(self.kind, identity)
        except StudyConflictError:
            stored = store.study(self.kind).config
            keys = dict.fromkeys([*identity, *stored])  # a fingerprint that follows the seed: last
            name = next(k for k in keys if identity.get(k) != stored.get(k))
            raise RunFolderError(
                f"{str(self.folder.path)!r} holds {_words(self.kind)} with {name} "
                f"{stored.get(name)!r}, but {identity.get(name)!r} was asked for: choose another "
                f"folder with --out, or the same settings to resume."
            ) from None

    def put(self, key: str, value: Json) -> None:
        """Store a value of the study."""
        self.store.put_value(self.kind, key, value)

    def value(self, key: str, default: Json = None) -> Json:
        """A stored value of the study."""
        return self.store.value(self.kind, key, default)

    @contextmanager
    def watching(self, executor: Executor) -> Iterator[None]:
        """Let a fault of what runs in this very process leave a trace for the next run."""
        if executor.isolated:
            yield
        else:
            with self.folder.watching_faults():
                yield

    def lap(self, stage: str) -> None:
        """End a stage: its seconds are added to those of earlier calls."""
        now = time.perf_counter()
        self.laps[stage], self._last = now - self._last, now

    def write_tables(self, tables: Mapping[str, Table]) -> tuple[Path, ...]:
        """Write each table as CSV into the run folder; the files are whole or not there."""
        return tuple(
            write_table(self.folder.path / f"{name}.csv", table) for name, table in tables.items()
        )

    def close(self) -> None:
        """Say that nobody runs the study any more, and close the store."""
        if self._store is not None:
            self._ended.set()
            if self._beat.ident is not None:  # it is started last
                self._beat.join()
            with contextlib.suppress(StoreError):  # a full disk: the owner's process ends anyway
                self.put(_OWNER, None)
            self._store.close()
            self._store = None

    def _give_signs(self) -> None:
        """Say every other second that this process is alive, from a thread of its own."""
        while not self._ended.is_set():
            with contextlib.suppress(StoreError):  # locked or full: the next one may be written
                self.put(_SIGN, time.time())
            self._ended.wait(_BEAT_SECONDS)

    def _both(self, on_progress: OnProgress) -> OnProgress:
        log = self.log

        def tell(progress: Progress, /) -> None:
            log.progress(progress)
            on_progress(progress)

        return tell


@contextmanager
def open_session(
    config: StudyConfig, out: Path | str, on_progress: OnProgress = silent
) -> Iterator[Session]:
    """Hold a run folder for one study.

    Args:
        config: the settings.
        out: the run folder; made if it is not there.
        on_progress: told how far each stage is.

    Raises:
        RunFolderError: the folder cannot be written, or another run holds it; or it was removed, or
            its disk was full, while the run was going on.
    """
    folder = RunFolder(out)
    with folder.lock(), tell_children(folder.path):
        resumed = folder.store.is_file()
        session = Session(config, folder, on_progress)
        try:
            yield session
            session.log.write("end")
        except BaseException as error:
            if session._store is not None:
                with contextlib.suppress(OSError):  # what stopped it matters, not its log
                    session.log.write(f"stopped by {type(error).__name__}: {error}")
            if isinstance(error, OSError | StoreError):
                folder.check(str(error))
            if resumed and (refusal := damage_in(folder.path, error)) is not None:
                raise refusal from error
            raise
        finally:
            session.close()


def is_running(values: Mapping[str, Json]) -> bool:
    """Whether a process holds the study, by its stored values.

    One of another host does as long as it gives signs of life.
    """
    owner = values.get(_OWNER)
    if owner is None or is_dead(owner):
        return False
    return is_here(owner) or time.time() - float(values.get(_SIGN) or 0.0) < _SILENT_SECONDS


@contextmanager
def reading(out: Path | str, kind: str) -> Iterator[Store]:
    """The store of a run folder, only to be read: no lock is taken, nothing is written.

    Args:
        out: the run folder.
        kind: of the study that it should hold.

    Raises:
        RunFolderError: it holds none of this kind.
    """
    found = kind_in(out)
    if found != kind:
        raise RunFolderError(
            f"{str(out)!r} holds {_words(found)}, but {_words(kind)} was asked for."
        )
    with Store(user_path(out) / "study.db", read_only=True) as store:
        if store.value(kind, _SETTINGS) is None:
            raise RunFolderError(
                f"{str(out)!r} holds {_words(kind)} that ended as it began: the same call starts "
                f"it again."
            )
        yield store


def kind_in(out: Path | str) -> str:
    """The kind of study that a run folder holds.

    Raises:
        RunFolderError: it holds none.
    """
    path = user_path(out) / "study.db"
    studies: tuple[Study, ...] = ()
    if path.is_file():
        try:
            with Store(path, read_only=True) as store:
                studies = store.studies()
        except StoreError as error:
            raise RunFolderError(f"The run folder {str(out)!r} cannot be read: {error}") from error
    if not studies:
        raise RunFolderError(
            f"{str(out)!r} holds no study: start one, such as foretell search --out {out}."
        )
    return studies[0].name


def stored_settings(out: Path | str) -> Json:
    """The settings of the study in a run folder, as it was last called.

    Raises:
        RunFolderError: it holds none.
    """
    kind = kind_in(out)
    with reading(out, kind) as store:
        return store.value(kind, _SETTINGS)


def _words(kind: str) -> str:
    return f"a study {kind.replace('_', ' ')!r}"
