"""The program's handlers of SIGINT and SIGTERM are kept, whatever Ray sets."""

import signal
import threading

from ray_defense.cluster.signal_handlers import kept_signal_handlers


def test_the_handlers_are_restored_after_the_body_even_if_it_raises() -> None:
    interrupt_handler = signal.getsignal(signal.SIGINT)
    terminate_handler = signal.getsignal(signal.SIGTERM)
    try:
        with kept_signal_handlers():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            raise ValueError
    except ValueError:
        pass
    assert signal.getsignal(signal.SIGINT) is interrupt_handler
    assert signal.getsignal(signal.SIGTERM) is terminate_handler


def test_outside_the_main_thread_the_body_only_runs() -> None:
    ran = threading.Event()

    def run_in_thread() -> None:
        with kept_signal_handlers():  # signal.signal would raise here
            ran.set()

    thread = threading.Thread(target=run_in_thread)
    thread.start()
    thread.join()
    assert ran.is_set()
