"""Keeps the signal handlers of the program while Ray starts or trains."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def kept_signal_handlers() -> Iterator[None]:
    """Restores the handlers of SIGINT and SIGTERM after the body.

    `ray.init` replaces the handler of SIGTERM, Ray Train the handler of SIGINT. Outside the main
    thread this changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupt_handler = signal.getsignal(signal.SIGINT)
    terminate_handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, interrupt_handler)
        signal.signal(signal.SIGTERM, terminate_handler)
