"""Studies and their stage values."""

from collections.abc import Callable, Mapping

from foretell.errors import StudyConflictError, UnknownNameError
from foretell.store._base import Study
from foretell.store._codec import dump, load
from foretell.store._connection import Database
from foretell.types import Json

__all__ = ["Studies"]


class Studies:
    """The part of the store that holds studies and values."""

    _db: Database
    _now: Callable[[], float]
    _ids: dict[str, int]

    def put_study(self, name: str, config: Mapping[str, Json]) -> bool:
        """Store a study; it may already be stored with the same configuration.

        Args:
            name: unique in this store.
            config: its configuration, as JSON.

        Returns:
            Whether it was there already.

        Raises:
            StudyConflictError: it is there with another configuration; the message names what
                differs.
        """
        text = dump(dict(config), f"configuration of the study {name!r}", sort=True)
        with self._db.write() as db:
            row = db.execute("SELECT config FROM studies WHERE name = ?", (name,)).fetchone()
            if row is None:
                db.execute(
                    "INSERT INTO studies (name, config, created) VALUES (?, ?, ?)",
                    (name, text, self._now()),
                )
                return False
        stored, asked = load(row[0]), load(text)
        if row[0] != text and stored != asked:
            raise StudyConflictError(
                f"The study {name!r} is stored with another configuration "
                f"({_difference(stored, asked)}): repeat the stored one to resume, or choose "
                f"another name or run folder."
            )
        return True

    def study(self, name: str) -> Study:
        """A stored study.

        Raises:
            UnknownNameError: there is no such study.
        """
        rows = self._db.read("SELECT config, created FROM studies WHERE name = ?", name)
        if not rows:
            raise self._unknown(name)
        config, created = rows[0]
        return Study(name, load(config), created)

    def studies(self) -> tuple[Study, ...]:
        """Every stored study, in the order of storing."""
        rows = self._db.read("SELECT name, config, created FROM studies ORDER BY id")
        return tuple(Study(n, load(c), t) for n, c, t in rows)

    def put_value(self, study: str, key: str, value: Json) -> None:
        """Store or replace a named value of a study, such as a retrained winner.

        Raises:
            UnknownNameError: there is no such study.
            UsageError: the value is no JSON.
        """
        row = (self._id(study), key, dump(value, f"value {key!r}"), self._now())
        with self._db.write() as db:
            db.execute("INSERT OR REPLACE INTO stage_values VALUES (?, ?, ?, ?)", row)

    def value(self, study: str, key: str, default: Json = None) -> Json:
        """A stage's value, or the default.

        Raises:
            UnknownNameError: there is no such study.
        """
        rows = self._db.read(
            "SELECT value FROM stage_values WHERE study = ? AND key = ?", self._id(study), key
        )
        return load(rows[0][0]) if rows else default

    def values(self, study: str) -> dict[str, Json]:
        """Every stage value, by key in alphabetical order.

        Raises:
            UnknownNameError: there is no such study.
        """
        rows = self._db.read(
            "SELECT key, value FROM stage_values WHERE study = ? ORDER BY key", self._id(study)
        )
        return {k: load(v) for k, v in rows}

    def _id(self, study: str) -> int:
        if study not in self._ids:
            rows = self._db.read("SELECT id FROM studies WHERE name = ?", study)
            if not rows:
                raise self._unknown(study)
            self._ids[study] = int(rows[0][0])
        return self._ids[study]

    def _unknown(self, name: str) -> UnknownNameError:
        names = [r[0] for r in self._db.read("SELECT name FROM studies ORDER BY id")]
        return UnknownNameError("study", name, [], names)


def _difference(stored: Mapping[str, Json], asked: Mapping[str, Json]) -> str:
    keys = [k for k in {**stored, **asked} if stored.get(k, ...) != asked.get(k, ...)]
    parts = [
        f"{k}: stored {_short(stored, k)}, asked for {_short(asked, k)}" for k in sorted(keys)[:3]
    ]
    return "; ".join(parts) + (f"; and {len(keys) - 3} more" if len(keys) > 3 else "")


def _short(config: Mapping[str, Json], key: str) -> str:
    text = repr(config[key]) if key in config else "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."
