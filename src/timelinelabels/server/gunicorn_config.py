"""Gunicorn's configuration: one process, many threads, ready before the port opens.

The application is imported before the socket is bound, so that a request never waits for imports;
importing torch starts no threads and loads no weights, so the fork of the one worker is safe.
"""

import os
import signal

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
graceful_timeout = 10
loglevel = _settings.log_level.lower()
proc_name = "timelinelabels"
control_socket_disable = True  # it would be shared by every gunicorn of the user
