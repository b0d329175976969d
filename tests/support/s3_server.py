"""A server on this machine that speaks S3, with one bucket."""

import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from moto.server import ThreadedMotoServer
from pyarrow.fs import FileSystem

BUCKET = "bucket"
SECRETS = ("sec/ret", "sec%2Fret", "KEY:")


@dataclass(frozen=True)
class S3Server:
    """The server."""

    port: int

    def uri(self, path: str) -> str:
        """Returns the URI of a path in the bucket, with credentials."""
        options = f"scheme=http&endpoint_override=127.0.0.1%3A{self.port}&region=us-east-1"
        return f"s3://KEY:sec%2Fret@{BUCKET}/{path}?{options}"

    def write(self, path: str, data: bytes) -> None:
        """Writes an object of the bucket."""
        file_system, name = FileSystem.from_uri(self.uri(path))
        with file_system.open_output_stream(name, compression=None) as sink:
            sink.write(data)

    def mark_folder(self, path: str) -> None:
        """Makes the empty object by which the consoles of S3 show a folder."""
        self._ask("PUT", f"{BUCKET}/{path}/", b"")

    def refuse_everybody(self) -> None:
        """Lets nobody in from here on: the server knows no user."""
        self._ask("POST", "moto-api/reset-auth", b"0")

    def let_everybody_in(self) -> None:
        """Undoes `refuse_everybody`."""
        self._ask("POST", "moto-api/reset-auth", b"inf")

    def make_bucket(self) -> None:
        """Makes the bucket."""
        self._ask("PUT", BUCKET, b"")

    def _ask(self, method: str, path: str, data: bytes) -> None:
        place = f"http://127.0.0.1:{self.port}/{path}"
        kind = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(place, data, kind, method=method)
        with urllib.request.urlopen(request, timeout=60):
            pass


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Runs the server with an empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # which would note every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        running = S3Server(port)
        running.make_bucket()
        yield running
    finally:
        server.stop()
