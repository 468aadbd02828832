"""`timelinelabels serve` and `timelinelabels worker`."""

from typing import Annotated

import typer


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: HOST, else 0.0.0.0.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port; default: PORT, else 9090.")
    ] = None,
) -> None:
    """Run the backend: the web server that Label Studio calls, and one worker that learns.

    Stops on Ctrl-C. What dies is started again. Connect it in Label Studio under Settings → Model with
    the address http://HOST:9090.

    Example: MODEL_ROOT=models CACHE_DIR=cache_dir timelinelabels serve
    """
    from timelinelabels.log_output import configure_logging
    from timelinelabels.settings import load_settings
    from timelinelabels.supervisor import Supervisor

    settings = load_settings(host=host, port=port)
    configure_logging(settings)
    Supervisor(settings, {"HOST": settings.host, "PORT": str(settings.port)}).run()


def worker() -> None:
    """Run one more worker on the same store and folders (`serve` already runs one).

    It extracts features, trains and publishes; several may run, also on other machines that share
    MODEL_ROOT, CACHE_DIR and DATABASE_URL.
    """
    import os
    import signal

    from timelinelabels.lifeline import watch_lifeline

    # A killed supervisor takes its worker along; the lease on the present work then runs out. Watched
    # before the long imports, during which it may die as well.
    watch_lifeline(lambda: os._exit(1))
    from timelinelabels.log_output import configure_logging
    from timelinelabels.runtime import (
        build_resources,
        label_studio_client,
        open_store,
        prepare_computation,
        videos_at_once,
    )
    from timelinelabels.settings import load_settings
    from timelinelabels.worker import Worker

    settings = load_settings()
    configure_logging(settings)
    prepare_computation(settings.device)
    running = Worker(
        open_store(settings),
        build_resources(settings, download_weights=True),
        label_studio=label_studio_client(settings),
        push=settings.push_predictions,
        videos_at_once=videos_at_once(),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop())
    os.nice(5)  # the person who waits for an answer of the web process comes first
    running.run()
