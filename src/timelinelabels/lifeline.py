"""A child process ends when its supervisor does, however that died.

The supervisor holds the write end of a pipe and never writes; a child watches the read end. The
system closes the write end with the supervisor, kill -9 included, and the child reads the end of file.
"""

import logging
import os
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

VARIABLE = "TIMELINELABELS_LIFELINE"  # number of the inherited read end, set by the supervisor only


def watch_lifeline(on_end: Callable[[], None]) -> None:
    """Call `on_end` in a thread of its own when the supervisor is gone; nothing without one."""
    descriptor = os.environ.get(VARIABLE)
    if descriptor is None:
        return

    def watch() -> None:
        while os.read(int(descriptor), 1):
            pass  # nobody writes; only the end of the file matters
        logger.warning("The supervisor is gone: this process ends")
        on_end()

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
