"""Bulk scores as blocks of rows."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from foretell.errors import StudyConflictError, UsageError
from foretell.store._base import ScoreTable
from foretell.store._codec import Block, damaged, dump, load, pack, unpack
from foretell.store._connection import Database
from foretell.types import Array

__all__ = ["Scores"]

_ROWS = 10_000
_VALUES = 20_000_000
"""Maximum rows and values of a block: SQLite allows 1e9 bytes."""


class Scores:
    """The part of the store that holds scores."""

    _db: Database
    _now: Callable[[], float]
    _id: Callable[[str], int]

    def put_scores(
        self,
        study: str,
        kind: str,
        keys: Sequence[str],
        names: Sequence[str],
        values: ArrayLike,
        *,
        exact: bool = False,
    ) -> None:
        """Append rows of scores; all of them or, on an error, none.

        Numbers are stored as float32 (relative error 6e-8), except columns that float32 cannot
        represent: numbers beyond its range (synflow reaches 1e49) and integers that it would round
        (flops) are stored as float64. NaN and infinities are preserved.

        Args:
            study: name of the study.
            kind: name of the table of scores, such as "proxies".
            keys: n texts; a repeated key replaces its row.
            names: p texts, the same in every call for one kind.
            values: (n, p).
            exact: whether to keep every number as float64.

        Raises:
            UnknownNameError: there is no such study.
            StudyConflictError: the kind is stored with other names.
            UsageError: the shapes do not fit together.
        """
        array = np.asarray(values, dtype=np.float64)
        if array.shape != (len(keys), len(names)):
            raise UsageError(
                f"Expected scores of shape (keys, names) = {(len(keys), len(names))}, but got "
                f"{array.shape}."
            )
        owner, text = self._id(study), dump(list(names), "names of the scores")
        rows = max(1, min(_ROWS, _VALUES // max(1, len(names))))
        with self._db.write() as db:
            select = "SELECT id, names FROM score_sets WHERE study = ? AND kind = ?"
            score_set = db.execute(select, (owner, kind)).fetchone()
            if score_set is None:
                db.execute(
                    "INSERT INTO score_sets (study, kind, names) VALUES (?, ?, ?)",
                    (owner, kind, text),
                )
                score_set = db.execute(select, (owner, kind)).fetchone()
            if score_set[1] != text:
                raise StudyConflictError(
                    f"The scores {kind!r} of the study {study!r} are stored under the names "
                    f"{', '.join(load(score_set[1]))}, but got {', '.join(names)}: write them "
                    f"under another kind."
                )
            for start in range(0, len(keys), rows):
                part = keys[start : start + rows]
                block = pack(array[start : start + rows], exact=exact)
                db.execute(
                    "INSERT INTO score_blocks (score_set, rows, keys, types, data) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (score_set[0], len(part), dump(list(part), "keys"), block.types, block.data),
                )

    def scores(self, study: str, kind: str) -> ScoreTable:
        """All rows of scores of one kind; the last row of a repeated key.

        Returns:
            Keys, names and (n, p) values; no keys and no names if nothing was stored.

        Raises:
            UnknownNameError: there is no such study.
        """
        score_sets = self._db.read(
            "SELECT id, names FROM score_sets WHERE study = ? AND kind = ?", self._id(study), kind
        )
        if not score_sets:
            return ScoreTable((), (), np.empty((0, 0)))
        names = _texts(score_sets[0][1])
        blocks = self._db.read(
            "SELECT rows, keys, types, data FROM score_blocks WHERE score_set = ? ORDER BY id",
            score_sets[0][0],
        )
        keys: list[str] = []
        parts = [_texts(block[1]) for block in blocks]
        # Column after column, as the blocks are: twice as fast, and columns are what is looked at.
        values = np.empty((len(names), sum(map(len, parts)))).T
        for part, (_, _, types, data) in zip(parts, blocks, strict=True):
            try:
                unpack(Block(types, data), values[len(keys) : len(keys) + len(part)])
            except (ValueError, TypeError, IndexError, AttributeError) as error:
                raise damaged("a block of scores has another size than its keys") from error
            keys += part
        return _last(tuple(keys), names, values)

    def score_kinds(self, study: str) -> tuple[str, ...]:
        """The kinds of scores of a study, in the order of writing.

        Raises:
            UnknownNameError: there is no such study.
        """
        sql = "SELECT kind FROM score_sets WHERE study = ? ORDER BY id"
        return tuple(r[0] for r in self._db.read(sql, self._id(study)))


def _texts(text: str) -> tuple[str, ...]:
    """A stored list of names or keys."""
    made = load(text)
    if not isinstance(made, list) or not all(isinstance(v, str) for v in made):
        raise damaged("a list of names holds something else")
    return tuple(made)


def _last(keys: tuple[str, ...], names: tuple[str, ...], values: Array) -> ScoreTable:
    if len(set(keys)) == len(keys):
        return ScoreTable(keys, names, values)
    last = {key: i for i, key in enumerate(keys)}
    return ScoreTable(tuple(last), names, values[list(last.values())])
