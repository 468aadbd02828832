"""Gunicorn's configuration: one process, many threads, the port open within a second or two.

The application is imported before the port opens; what takes seconds to import (torch, the database, the
labeling config's reader) comes in a thread right afterwards, in the one worker, so that nothing is
forked after it. See docs/decisions/0008-serve.md.
"""

import os
import signal
import threading
from typing import Any

from timelinelabels.lifeline import watch_lifeline
from timelinelabels.settings import load_settings

# From the beginning: a supervisor may die while the application is still being imported.
watch_lifeline(lambda: os.kill(os.getpid(), signal.SIGTERM))

_settings = load_settings()
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host  # IPv6

bind = f"{_host}:{_settings.port}"
workers = 1
worker_class = "gthread"
threads = _settings.web_threads
preload_app = True
timeout = 120  # longer than the longest /predict
# The server must not be the first to close an idle connection: a request that is sent at that moment is
# lost, and gunicorn's own 2 s lost some. nginx closes after 60 s. Idle connections take no thread.
keepalive = 75
graceful_timeout = 10
loglevel = _settings.log_level.lower()
proc_name = "timelinelabels"
control_socket_disable = True  # it would be shared by every gunicorn of the user


def post_worker_init(worker: Any) -> None:
    """Begin what takes time when the port is open: a health check is answered meanwhile."""
    services = worker.wsgi.extensions["timelinelabels"]
    threading.Thread(target=services.warm_up, name="warm-up", daemon=True).start()
