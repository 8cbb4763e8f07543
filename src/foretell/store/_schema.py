"""Tables and format version of the store."""

import sqlite3
from pathlib import Path

from foretell.errors import StoreError, StoreVersionError

__all__ = ["APPLICATION", "FORMAT", "PAGE_BYTES", "check", "create"]

FORMAT = 1
"""Version of the tables below, kept in PRAGMA user_version; raise it with every change of them."""
APPLICATION = 0x66747265
"""PRAGMA application_id ("ftre"): tells a foretell store from any other SQLite file."""
PAGE_BYTES = 16384
"""Page size: blocks of scores are written nearly twice as fast as with 4096."""

_TABLES = (
    """
    CREATE TABLE studies (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        config TEXT NOT NULL,
        created REAL NOT NULL
    )""",
    """
    CREATE TABLE trials (
        id INTEGER PRIMARY KEY,
        study INTEGER NOT NULL REFERENCES studies,
        number INTEGER NOT NULL,
        key TEXT NOT NULL,
        payload TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        attempts INTEGER NOT NULL DEFAULT 0,
        lost INTEGER NOT NULL DEFAULT 0,
        owner TEXT,
        lease_until REAL,
        value TEXT,
        error TEXT NOT NULL DEFAULT '',
        message TEXT NOT NULL DEFAULT '',
        traceback TEXT NOT NULL DEFAULT '',
        seconds REAL,
        created REAL NOT NULL,
        started REAL,
        finished REAL,
        UNIQUE (study, key),
        UNIQUE (study, number)
    )""",
    "CREATE INDEX trials_by_state ON trials (study, state, number)",
    """
    CREATE TABLE score_sets (
        id INTEGER PRIMARY KEY,
        study INTEGER NOT NULL REFERENCES studies,
        kind TEXT NOT NULL,
        names TEXT NOT NULL,
        UNIQUE (study, kind)
    )""",
    """
    CREATE TABLE score_blocks (
        id INTEGER PRIMARY KEY,
        score_set INTEGER NOT NULL REFERENCES score_sets,
        rows INTEGER NOT NULL,
        keys TEXT NOT NULL,
        types TEXT NOT NULL,
        data BLOB NOT NULL
    )""",
    "CREATE INDEX score_blocks_by_set ON score_blocks (score_set, id)",
    """
    CREATE TABLE stage_values (
        study INTEGER NOT NULL REFERENCES studies,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        written REAL NOT NULL,
        PRIMARY KEY (study, key)
    ) WITHOUT ROWID""",
)


def check(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file holds a store of this format; False if it is empty.

    Raises:
        StoreVersionError: it holds a store of another format.
        StoreError: it is an SQLite database, but no store.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not tables and not version and not application:
        return False
    if application != APPLICATION:
        raise StoreError(
            f"{str(path)!r} is an SQLite database, but no store of foretell: choose another file."
        )
    if version != FORMAT:
        raise StoreVersionError(path, version, FORMAT)
    return True


def create(connection: sqlite3.Connection) -> None:
    """Write the tables, inside the caller's transaction."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
