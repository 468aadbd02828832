"""The connection to the database: transactions, errors and the few things that differ by dialect.

SQLite: write-ahead log, so that readers never wait; every commit reaches the disk; a transaction that
will write begins as one (BEGIN IMMEDIATE), so that it waits for its turn instead of failing half-way.
The threads of a process queue for that turn before they ask SQLite, whose own waiting is not fair: on a
busy machine it let one thread wait until it gave up. Connections stay open between transactions,
because closing a file's last one writes the whole log back and deletes it. PostgreSQL: locks where two
transactions could otherwise decide on what neither can see of the other.
"""

import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from timelinelabels.errors import StoreError

ACCEPTED_URLS = "sqlite:////path/to/store.sqlite3 or postgresql://user:password@host/database"
BUSY_TIMEOUT_SECONDS = 30
POOL_SIZE, POOL_OVERFLOW = 5, 60

Clock = Callable[[], datetime]


class Database:
    """An engine and how to use it. Opens no connection before the first transaction.

    Args:
        url: SQLAlchemy URL of SQLite (a file) or PostgreSQL.
        clock: what time it is; None asks PostgreSQL's server, whose clock all machines share, or else
            this machine.

    Raises:
        StoreError: the URL is not accepted, or the driver is not installed.
    """

    def __init__(self, url: str, *, clock: Clock | None = None):
        self._clock = clock
        try:
            parsed = make_url(url)
        except (SQLAlchemyError, ValueError):
            parsed = None
        # Not chained to the cause: it may quote the URL, with its password.
        if parsed is None:
            raise StoreError(f"The database URL cannot be understood; accepted: {ACCEPTED_URLS}")
        backend = parsed.get_backend_name()
        if backend == "postgres" or parsed.drivername == "postgresql":
            backend, parsed = "postgresql", parsed.set(drivername="postgresql+psycopg")
        self.path = Path(parsed.database) if backend == "sqlite" and parsed.database else None
        if backend not in ("sqlite", "postgresql") or (
            backend == "sqlite" and _in_memory(self.path)
        ):
            raise StoreError(
                f"A database of {parsed.drivername!r}, or one in memory only, cannot be used; "
                f"accepted: {ACCEPTED_URLS}"
            )
        # For messages: neither the password nor the query, which may hold one as well.
        self.name = parsed.set(query={}).render_as_string(hide_password=True)
        options: dict[str, Any] = (
            # The pool gives a connection to one thread at a time.
            {"connect_args": {"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False}}
            if backend == "sqlite"
            else {"pool_pre_ping": True, "connect_args": {"connect_timeout": BUSY_TIMEOUT_SECONDS}}
        )
        pool = {"poolclass": QueuePool, "pool_size": POOL_SIZE, "max_overflow": POOL_OVERFLOW}
        missing = ""
        try:
            # Parameters are annotations and configs: they never belong into a message.
            self.engine = create_engine(parsed, hide_parameters=True, **pool, **options)
        except (ImportError, SQLAlchemyError) as error:
            missing = type(error).__name__
        if missing:
            raise StoreError(
                f"The driver for {self.name} is not installed or not known ({missing}); for "
                f"PostgreSQL: pip install 'timelinelabels[postgresql]'"
            )
        self._turn: AbstractContextManager[object] = nullcontext()
        if self.path is not None:
            _prepare_sqlite(self.engine, self.path)
            self._turn = threading.Lock()
        self._writer = self.engine.execution_options(writes=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether a file, rather than a server, holds the data."""
        return self.engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Close the pool's connections."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database.

        Raises:
            StoreError: the database cannot be used.
        """
        with self.errors(), Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session in one transaction: all of it is durable at the end, or nothing of it is.

        Raises:
            StoreError: the database cannot be used.
        """
        with (
            self._turn,
            self.errors(),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A bare connection in one writing transaction, for migrations."""
        with self._turn, self.errors(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Whatever goes wrong with the database inside, as a StoreError that names it."""
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(
                f"The database {self.name} cannot be used: {_reason(error)}. Check DATABASE_URL, and "
                f"that the {'folder is writable' if self.is_sqlite else 'server runs'}."
            ) from error

    def now(self, session: Session) -> datetime:
        """The time that leases, receipts and delays are reckoned by."""
        if self._clock is not None:
            return self._clock()
        if self.is_sqlite:
            return datetime.now(UTC)
        time: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
        return time.astimezone(UTC)


def serialize(session: Session | Connection, what: str) -> None:
    """Wait until no other transaction does `what`; the end of this transaction lets the next one in.

    On SQLite writing transactions exclude each other anyway.
    """
    bind = session if isinstance(session, Connection) else session.connection()
    if bind.dialect.name == "postgresql":
        number = zlib.crc32(f"timelinelabels {what}".encode())
        bind.execute(select(func.pg_advisory_xact_lock(number)))


def _in_memory(path: Path | None) -> bool:
    return path is None or str(path) == ":memory:" or str(path).startswith("file:")


def _prepare_sqlite(engine: Engine, path: Path) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        record.info["file"] = _file(path)
        # The driver must not begin transactions by itself: `begin` below does.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "checkout")
    def look_at_file(connection: Any, record: Any, proxy: Any) -> None:
        # What is written to a file that was deleted or replaced would be lost without a word.
        if _file(path) != record.info["file"]:
            raise DisconnectionError(f"{path} is another file now")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _file(path: Path) -> tuple[int, int] | None:
    """Which file a path names."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _reason(error: SQLAlchemyError) -> str:
    """The driver's own first line: the further ones, and SQLAlchemy's, may quote data."""
    cause: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(cause).__name__
