"""Overlap: decode the next batch while the network works on this one, and on several at a time."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_LOOK_AROUND_SECONDS = 0.1  # how soon a producer with a full queue notices that nobody wants more


@dataclass(frozen=True, kw_only=True)
class _End:
    error: BaseException | None


@contextmanager
def prefetched(items: Iterable[T], *, depth: int) -> Iterator[Iterator[T]]:
    """Iterate over `items` in a thread that stays at most `depth` items ahead.

    An exception of `items` is raised, itself, where its successor is asked for. However the block
    is left, the thread has ended by then.
    """
    ready: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
    unwanted = threading.Event()

    def put(item: T | _End) -> bool:
        while not unwanted.is_set():
            try:
                ready.put(item, timeout=_LOOK_AROUND_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised in the consuming thread
            put(_End(error=error))
        else:
            put(_End(error=None))

    def consume() -> Iterator[T]:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    thread = threading.Thread(target=produce, name="prefetch", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        unwanted.set()
        thread.join()


@contextmanager
def computed_in_order(
    function: Callable[[T], R], items: Iterable[T], *, workers: int
) -> Iterator[Iterator[tuple[T, R]]]:
    """Iterate over (item, function(item)) in the order of `items`, `workers` calls at a time in threads.

    At most one more item than there are workers is held. An exception of a call is raised, itself,
    in its turn. However the block is left, the threads have ended by then: left to the garbage
    collector, they would be waited for wherever it happens to run, which can block for ever.
    """
    under_way: deque[tuple[T, Future[R]]] = deque()

    def results(pool: ThreadPoolExecutor) -> Iterator[tuple[T, R]]:
        for item in items:
            under_way.append((item, pool.submit(function, item)))
            if len(under_way) > workers:
                first, result = under_way.popleft()
                yield first, result.result()
        while under_way:
            first, result = under_way.popleft()
            yield first, result.result()

    with ThreadPoolExecutor(workers, thread_name_prefix="embed") as pool:
        try:
            yield results(pool)
        finally:
            for _, result in under_way:
                result.cancel()
