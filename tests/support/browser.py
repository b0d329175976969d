"""A page in headless Chromium, driven by the DevTools protocol over two pipes."""

import base64
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = "there is no Chromium here: apt-get install chromium"


class Browser:
    """One tab, what it asked for, and what it complained about.

    Attributes:
        requests: The addresses that the page asked for, itself and data URIs left out.
        complaints: Errors and warnings of the console, of scripts and of the page's policy.
    """

    def __init__(self, commands: int, answers: int):
        self._commands = commands
        self._answers = answers
        self._unread = b""
        self._number = 0
        self._session: str | None = None
        self._loaded = False
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Returns the answer to a call of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        left = json.dumps(message).encode() + b"\0"
        while left:
            left = left[os.write(self._commands, left) :]
        while True:
            answer = self._read_message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, page: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Loads a file as a window of some width in pixels shows it."""
        self.requests.clear()
        self.complaints.clear()
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        self._loaded = False
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not self._loaded:
            self._read_message()

    def evaluate(self, expression: str, *, by_user: bool = False) -> Any:
        """Returns the value of JavaScript, awaited, as if a user had caused it or not."""
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=by_user,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """Writes the whole page as a PNG."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(answer["data"]))

    def _read_message(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            chunk = os.read(self._answers, 1 << 20)
            assert chunk, "the browser has ended"
            self._unread += chunk
        read, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(read)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, parameters: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            is_own = parameters["request"]["url"] == parameters["documentURL"]
            if not is_own and not parameters["request"]["url"].startswith("data:"):
                self.requests.append(parameters["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(parameters["args"]))


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """Yields a browser whose profile lies in a folder; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(NO_BROWSER)
    arguments = [
        program,
        "--headless",
        "--remote-debugging-pipe",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        f"--user-data-dir={folder}",
    ]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's sandbox refuses root
    commands_out, commands_in = _make_pipe()
    answers_out, answers_in = _make_pipe()
    files = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    files += [(os.POSIX_SPAWN_DUP2, commands_out, 3), (os.POSIX_SPAWN_DUP2, answers_in, 4)]
    process = os.posix_spawn(program, arguments, os.environ, file_actions=files)
    os.close(commands_out)
    os.close(answers_in)
    try:
        browser = Browser(commands_in, answers_out)
        yield browser
        browser.call("Browser.close")
    finally:
        os.close(commands_in)  # which ends the browser where it still runs
        os.close(answers_out)
        os.waitpid(process, 0)


def _make_pipe() -> tuple[int, int]:
    """Returns a pipe of two high numbers: 3 and 4 are what the browser speaks by."""
    ends = os.pipe()
    high_ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high_ends[0], high_ends[1]
