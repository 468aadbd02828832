"""Stores on SQLite and, where a server is installed, on PostgreSQL."""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from timelinelabels.store import Store
from timelinelabels.store.tables import Base

NO_SERVER = "PostgreSQL is not installed (Debian: apt-get install postgresql)"


class Clock:
    """A time that only the test moves."""

    def __init__(self):
        self.time = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _server_programs() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4])
    )
    return versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a server of this session's own, without the database's name."""
    programs = _server_programs()
    if programs is None:
        pytest.skip(NO_SERVER)
    folder = Path(tempfile.mkdtemp(prefix="timelinelabels-postgresql-"))
    # The server refuses to run as root.
    as_user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        **as_user,
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    control = [programs / "pg_ctl", "-D", data, "-w"]
    start = [*control, "-l", folder / "log", "-o", options, "start"]
    subprocess.run(start, check=True, capture_output=True, cwd=folder, **as_user)
    try:
        yield f"postgresql://tester@127.0.0.1:{port}"
    finally:
        stop = [*control, "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, capture_output=True, cwd=folder, **as_user)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: str) -> str:
    """URL of a database with all tables, to be emptied after each test: making one takes long."""
    _administer(f"{postgresql_server}/postgres", "CREATE DATABASE migrated")
    with Store(f"{postgresql_server}/migrated") as store:
        store.migrate()
    return f"{postgresql_server}/migrated"


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "store.sqlite3"
    with Store(f"sqlite:///{path}") as store:
        store.migrate()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty' / 'store.sqlite3'}"
        return
    server = request.getfixturevalue("postgresql_server")
    name = f"test_{uuid.uuid4().hex}"
    _administer(f"{server}/postgres", f"CREATE DATABASE {name}")
    yield f"{server}/{name}"
    _administer(f"{server}/postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with all tables and nothing in them."""
    if request.param == "sqlite":
        path = tmp_path / "store.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    database = request.getfixturevalue("migrated_postgresql")
    yield database
    tables = ", ".join(Base.metadata.tables)
    _administer(database, f"TRUNCATE {tables} RESTART IDENTITY")


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    """An empty store whose time the test moves."""
    with Store(url, clock=clock) as opened:
        yield opened


def _administer(database: str, statement: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(statement)
