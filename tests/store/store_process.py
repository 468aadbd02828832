"""A process of its own that uses a store: `python store_process.py COMMAND URL [ARGUMENT]`."""

import sys
import time

from timelinelabels.store import Store

command, url, *arguments = sys.argv[1:]
with Store(url) as store:
    if command == "migrate":
        store.migrate()
    elif command == "claim-all":
        # Wait for the other one, so that both claim at the same time.
        print("ready", flush=True)
        sys.stdin.readline()
        while (item := store.claim("process", ["extract"])) is not None:
            print(item.key, flush=True)
            time.sleep(0.02)  # the work; who does none would claim again before the other wakes
            store.complete(item)
    elif command == "hold":
        item = store.claim("process", ["extract"], lease_seconds=float(arguments[0]))
        assert item is not None
        print(item.key, flush=True)
        while len(arguments) > 1 and store.heartbeat(item):
            time.sleep(float(arguments[1]))
        time.sleep(600)
    elif command == "version":
        sys.stdin.readline()
        print(store.model_version(arguments[0], "p", lambda number: f"v{number}"))
