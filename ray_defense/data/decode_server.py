"""The body of the process that `decode_process` starts: it decodes one image after another."""

import os
import signal
import sys

from ray_defense.core.errors import RayDefenseError
from ray_defense.data.decode import DecodeError, decode_unwatched
from ray_defense.decoding.decode_process import ANSWER, FAILED, PIXELS, REJECTED, REQUEST


def serve() -> None:
    """Decodes images from the standard input until it ends."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Libraries print what they find wrong, in words that a hostile file may choose.
    errors = os.dup(sys.stderr.fileno())
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())
    while True:
        request = requests.read(REQUEST.size)
        if len(request) < REQUEST.size:
            return
        num_bytes, size, cpu_s, max_pixels = REQUEST.unpack(request)
        data = requests.read(num_bytes)
        # When it runs out, the kernel ends this process, in the midst of C code too.
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        how = PIXELS
        os.dup2(silence, sys.stderr.fileno())
        try:
            decoded = decode_unwatched(data, size, max_pixels)
            content = decoded.pixels.tobytes() + decoded.conversion.encode()
        except DecodeError as error:
            how = REJECTED
            content = str(error).encode("utf-8", "backslashreplace")
        except RayDefenseError as error:
            how = FAILED
            content = str(error).encode("utf-8", "backslashreplace")
        finally:
            os.dup2(errors, sys.stderr.fileno())
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(ANSWER.pack(how, len(content)))
        answers.write(content)
        answers.flush()
