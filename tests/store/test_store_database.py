import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from timelinelabels.errors import StoreError
from timelinelabels.labelstudio.payloads import ProjectRef
from timelinelabels.store import Store
from timelinelabels.store.engine import Database
from timelinelabels.store.tables import Base


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(url):
    database = Database(url)
    with database.connection() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {
            *Base.metadata.tables,
            "alembic_version",
        }
    database.close()


def test_migrating_again_changes_nothing(empty_url):
    with Store(empty_url) as store:
        for _ in range(2):
            store.migrate()
            store.resolve_project(ProjectRef("1", 5))
        assert store.statistics().projects == 1


def test_a_database_of_a_newer_version_is_refused(empty_url):
    with Store(empty_url) as store:
        store.migrate()
    database = Database(empty_url)
    with database.connection() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with (
        Store(empty_url) as store,
        pytest.raises(StoreError, match="newer version of timelinelabels"),
    ):
        store.migrate()


def test_a_failed_transaction_leaves_nothing(url):
    database = Database(url)
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        session.execute(
            text("INSERT INTO projects (key, label_studio_id, last_version) VALUES ('1', '1', 0)")
        )
        raise ZeroDivisionError
    with Store(url) as store:
        assert store.statistics().projects == 0


def test_times_come_back_in_utc(store, clock):
    key = store.resolve_project(ProjectRef("1"))
    store.model_version(key, "p", str)
    assert store.versions(key)[0].created_at == clock() == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert store.versions(key)[0].created_at.tzinfo is UTC


def test_sqlite_is_durable_and_never_blocks_readers(migrated_sqlite, tmp_path):
    path = tmp_path / "new folder" / "store.sqlite3"
    with Store(f"sqlite:///{path}") as store:
        store.migrate()
        database = Database(f"sqlite:///{path}")
        with database.reading() as session:
            pragmas = {
                name: session.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
            }
        assert pragmas == {
            "journal_mode": "wal",
            "synchronous": 2,
            "busy_timeout": 30_000,
            "foreign_keys": 1,
        }
        with database.writing() as session:
            session.execute(text("DELETE FROM work"))
            assert store.statistics().projects == 0


SECRET = "hunter2"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "store.sqlite3",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        f"mysql://me:{SECRET}@host/db",
        f"nonsense://me:{SECRET}@host/db",
        f"postgresql+pg8000://me:{SECRET}@host/db",
        f"postgresql://me:{SECRET}@host:port/db",
    ],
)
def test_a_url_that_is_not_accepted_is_explained_without_its_password(wrong):
    with pytest.raises(StoreError) as caught:
        Store(wrong)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert any(word in str(caught.value) for word in ("accepted: sqlite:///", "pip install"))


def test_a_server_that_is_not_there_is_named_without_its_password():
    url = f"postgresql://me:{SECRET}@127.0.0.1:1/db?application_name={SECRET}"
    with Store(url) as store, pytest.raises(StoreError) as caught:
        store.migrate()
    message = str(caught.value)
    assert "me:***@127.0.0.1:1/db" in message
    assert "Check DATABASE_URL" in message
    assert SECRET not in message + repr(store)


def test_postgres_is_another_name_of_postgresql():
    assert "127.0.0.1" in repr(Store("postgres://me@127.0.0.1:1/db"))


def test_a_file_that_is_no_database_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "store.sqlite3"
    path.write_bytes(b"not a database at all" * 100)
    with Store(f"sqlite:///{path}") as store:
        with pytest.raises(StoreError, match=r"store\.sqlite3"):
            store.migrate()
        with pytest.raises(StoreError, match=r"store\.sqlite3"):
            store.statistics()


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path / 'file' / 'store.sqlite3'}"
    with Store(url) as store, pytest.raises(StoreError, match="is writable"):
        store.migrate()


def test_a_database_that_was_never_migrated_is_an_error(empty_url):
    with Store(empty_url) as store, pytest.raises(StoreError, match="cannot be used"):
        store.statistics()


def test_making_a_store_opens_and_makes_nothing(tmp_path):
    Store(f"sqlite:///{tmp_path / 'a' / 'store.sqlite3'}").close()
    assert list(tmp_path.iterdir()) == []


def test_damage_to_one_row_shows_no_content(url):
    secret = "annotated secret"
    with Store(url) as store:
        key = store.resolve_project(ProjectRef("1"))
        store.model_version(key, "p", lambda _: secret)
        store.next_version_number(key)
        with pytest.raises(StoreError) as caught:
            store.publish(None, key, number=1, heads={}, fingerprint="other", text=secret)
    assert secret not in str(caught.value)
    assert secret not in str(caught.value.__cause__)


def test_the_same_schema_is_open_to_both_drivers_directly(url):
    """The tables are plain: other tools can read them."""
    query = "SELECT count(*) FROM work"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            assert connection.execute(query).fetchone() == (0,)
    else:
        with psycopg.connect(url) as connection:
            assert connection.execute(query).fetchone() == (0,)


def test_a_store_that_was_deleted_while_it_was_open_is_an_error_not_a_loss(tmp_path):
    path = tmp_path / "store.sqlite3"
    with Store(f"sqlite:///{path}") as store:
        store.migrate()
        store.resolve_project(ProjectRef("1"))
        path.unlink()
        with pytest.raises(StoreError, match="no such table"):
            store.resolve_project(ProjectRef("2"))


def test_a_commit_syncs_the_log_and_does_not_write_it_back(migrated_sqlite, tmp_path):
    path = tmp_path / "store.sqlite3"
    with Store(f"sqlite:///{path}") as store:
        store.migrate()
        store.resolve_project(ProjectRef("1"))
        log = path.with_name("store.sqlite3-wal")
        size = log.stat().st_size
        store.resolve_project(ProjectRef("2"))
        assert log.stat().st_size > size


def test_after_migrating_no_connection_is_open_so_that_the_process_may_fork(tmp_path):
    path = tmp_path / "store.sqlite3"
    with Store(f"sqlite:///{path}") as store:
        store.migrate()
        open_files = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.exists()]
        assert path not in open_files


def test_every_thread_gets_its_turn_to_write(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'store.sqlite3'}") as store:
        store.migrate()
        with ThreadPoolExecutor(32) as pool:
            keys = list(pool.map(lambda n: store.resolve_project(ProjectRef(str(n))), range(200)))
        assert len(set(keys)) == 200
        assert store.statistics().projects == 200
