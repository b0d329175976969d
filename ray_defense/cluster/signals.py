"""Signal handlers that Ray replaces (`ray.init` SIGTERM's, Ray Train SIGINT's) put back as they were."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def own_signals() -> Iterator[None]:
    """Restores the handlers of SIGINT and SIGTERM after the body; in another thread than the main one, only runs it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
