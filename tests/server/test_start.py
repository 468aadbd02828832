"""The web process answers before it has imported what takes seconds."""

import os
import subprocess
import sys

import pytest

from timelinelabels.server import services
from timelinelabels.server.app import create_app
from timelinelabels.settings import Settings

SCRIPT = """
import sys
from timelinelabels.server.app import create_app_from_environment

app = create_app_from_environment()
assert app.test_client().get("/health").status_code == 200
heavy = {"torch", "sqlalchemy", "label_studio_sdk", "av", "onnxruntime", "sklearn", "ultralytics"}
print(sorted(heavy & set(sys.modules)))
app.extensions["timelinelabels"].warm_up()
print(sorted({"sqlalchemy", "label_studio_sdk.label_interface.interface"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_health_needs_neither_torch_nor_the_database_and_the_warm_up_brings_them(tmp_path):
    folders = {"MODEL_ROOT": str(tmp_path), "CACHE_DIR": str(tmp_path), "DATABASE_URL": ""}
    lines = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **folders},
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert lines == ["[]", "['label_studio_sdk.label_interface.interface', 'sqlalchemy']"]


def test_a_store_that_cannot_be_used_is_said_and_asked_again_later(tmp_path, monkeypatch, caplog):
    folder = tmp_path / "database"
    app = create_app(
        Settings(
            model_root=tmp_path / "models",
            cache_dir=tmp_path / "cache",
            database_url=f"sqlite:///{folder / 'store.sqlite3'}",
        )
    )
    client = app.test_client()
    folder.write_text("a file in its place")
    app.extensions["timelinelabels"].warm_up()
    assert "cannot work yet" in caplog.text
    assert client.get("/health").status_code == 200
    answer = client.get("/versions")
    assert answer.status_code == 500
    assert "database" in answer.json["detail"]
    folder.unlink()
    folder.mkdir()
    assert client.get("/versions").status_code == 500  # not asked again at once
    monkeypatch.setattr(services, "RETRY_SECONDS", 0)
    app.extensions["timelinelabels"]._try_again = 0
    assert client.get("/versions").json == {"versions": []}
