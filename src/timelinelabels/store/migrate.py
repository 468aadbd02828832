"""Bringing a database to the schema of this version of the package."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from timelinelabels.errors import StoreError
from timelinelabels.store.engine import BUSY_TIMEOUT_SECONDS, Database, serialize

_LOOK_AGAIN_SECONDS = 0.05
SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(database: Database) -> None:
    """Run all migrations that the database lacks, in one transaction; safe for several at once.

    Raises:
        StoreError: the database cannot be used, or a newer version of the package made it.
    """
    # Imported here: half of the package's processes are short-lived and need it only at their start.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    if database.path is not None:
        _prepare_file(database.path, database.name)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    try:
        with database.connection() as connection:
            serialize(connection, "migrate")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"The database {database.name} cannot be brought to this version's schema: {error}. If a "
            f"newer version of timelinelabels made it, install that version."
        ) from error


def _prepare_file(path: Path, name: str) -> None:
    """Make the folder, and turn on the write-ahead log: the file remembers it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _turn_on_log(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"The database {name} cannot be used: {error}. Check DATABASE_URL, and that the folder "
            f"{path.parent} is writable."
        ) from error
    if mode != "wal":
        raise StoreError(
            f"The database {name} cannot be used: its file system has no shared memory for SQLite's "
            f"write-ahead log. Put it on a local disk, or use PostgreSQL."
        )


def _turn_on_log(path: Path) -> str:
    """Ask for the write-ahead log; the mode that the file has then.

    While another process changes the mode, SQLite refuses at once instead of waiting for it.
    """
    until = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS)) as connection:
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= until:
                raise
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return str(mode)
