"""Decodes images in a process of its own, which is killed where one takes too long.

A decoder that hangs holds its thread in C, where no other thread can end it. So what may take
long goes to a child of this process, one image at a time. The child has a timer of CPU time, not
of the clock, so that a busy machine rejects no honest image; it ends when this process does.
"""

import atexit
import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time

import numpy as np

from ray_defense.core.errors import RunError

# The child may also be stopped or starve; no image waits for it longer than this.
_PATIENCE_S = 900.0
# Bytes of the image, side of the result, seconds of CPU time, the most pixels.
REQUEST = struct.Struct("<QIdQ")
ANSWER = struct.Struct("<BQ")  # how it went, bytes that follow
PIXELS = 0  # these follow, and how they were converted
REJECTED = 1  # the reason follows
FAILED = 2  # the message of a RunError follows
_CHILD = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from ray_defense.data.decode_server import serve; serve()"
)


class ImageRejected(ValueError):
    """The process rejects the image; the only argument is the reason."""


class _Child:
    """The process, started at the first image."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # the process that started it; a fork of that has pipes it must not use

    def decode(
        self, data: bytes, size: int, cpu_s: float, *, max_pixels: int
    ) -> tuple[np.ndarray, str]:
        """Returns uint8 [size, size, 3] and how it was converted (see `decode_in_process`)."""
        with self._lock:
            process = self._running()
            try:
                how, content = _ask(process, data, size, cpu_s=cpu_s, max_pixels=max_pixels)
            except (OSError, EOFError) as error:
                raise self._ended(process, error, cpu_s) from None
            except BaseException:
                self._stop()  # an answer that nobody waits for would be the next one's
                raise
        if how == PIXELS:
            pixels = np.frombuffer(bytearray(content[: 3 * size * size]), np.uint8)
            conversion = content[3 * size * size :].decode("utf-8", "replace")
            return pixels.reshape(size, size, 3), conversion
        message = content.decode("utf-8", "replace")
        if how == REJECTED:
            raise ImageRejected(message)
        raise RunError(message)

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._owner == os.getpid():
            if self._process.poll() is None:
                return self._process
            self._stop()
        # Neither the current directory nor a relative path may bring in other code.
        paths = [path for path in sys.path if os.path.isabs(path)]
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env=environment,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )
        self._owner = os.getpid()
        return self._process

    def _ended(
        self, process: "subprocess.Popen[bytes]", error: Exception, cpu_s: float
    ) -> Exception:
        """Returns the error of an image during which the process ended or stood still."""
        if isinstance(error, TimeoutError):
            self._stop()
            return RunError(f"decoding an image gave no answer in {_PATIENCE_S:.0f} s: run again")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        code = process.poll()
        self._stop()
        if code == -signal.SIGPROF:
            return ImageRejected(f"takes more than {cpu_s:g} s to decode")
        if code in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGABRT):
            return ImageRejected("crashes the decoder")
        return RunError(f"the process that decodes images ended with code {code}: run again")

    def _stop(self) -> None:
        process = self._process
        self._process = None
        if process is None or self._owner != os.getpid():
            return
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._stop()


def _ask(
    process: "subprocess.Popen[bytes]", data: bytes, size: int, *, cpu_s: float, max_pixels: int
) -> tuple[int, bytes]:
    """Sends an image and returns how decoding it went, and the pixels or the message."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(REQUEST.pack(len(data), size, cpu_s, max_pixels))
    process.stdin.write(data)
    process.stdin.flush()
    deadline = time.monotonic() + _PATIENCE_S
    answer = _receive(process.stdout.fileno(), ANSWER.size, deadline)
    how, num_bytes = ANSWER.unpack(answer)
    return how, _receive(process.stdout.fileno(), num_bytes, deadline)


def _receive(pipe: int, num_bytes: int, deadline: float) -> bytes:
    """Returns so many bytes of a pipe.

    Raises:
        EOFError: If it ends before.
        TimeoutError: If they do not come in time.
    """
    received = bytearray()
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    while len(received) < num_bytes:
        if not poller.poll(1000 * max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        part = os.read(pipe, min(num_bytes - len(received), 1 << 20))
        if not part:
            raise EOFError
        received += part
    return bytes(received)


_child = _Child()
atexit.register(_child.close)


def decode_in_process(
    data: bytes, size: int, cpu_s: float, *, max_pixels: int
) -> tuple[np.ndarray, str]:
    """Returns an encoded image, decoded by another process, and how it was converted.

    Args:
        data: The bytes of an image file.
        size: The side of the result in pixels.
        cpu_s: The CPU time after which the process is killed.
        max_pixels: How many pixels the image may have.

    Raises:
        ImageRejected: If the image does not decode, or not in time, or crashes the decoder.
        RunError: If the process does not work.
    """
    return _child.decode(data, size, cpu_s, max_pixels=max_pixels)
