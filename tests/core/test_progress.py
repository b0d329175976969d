"""Progress reaches its listener, the logger, and a file of events."""

import json
import logging
from pathlib import Path

import pytest

from ray_defense.core.progress import (
    ProgressEvent,
    listening,
    recording_events,
    report_progress,
)


def test_events_are_appended_to_a_file_and_still_reach_who_listened_before(tmp_path: Path) -> None:
    heard: list[ProgressEvent] = []
    file = tmp_path / "events.jsonl"
    with listening(heard.append):
        report_progress("before", 0, 1)
        for _ in range(2):
            with recording_events(file):
                report_progress("probe\n", 3, 35, note="ü")
        report_progress("after", 1, 1)
    assert [event.task for event in heard] == ["before", "probe\n", "probe\n", "after"]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert line.pop("time") > 1.7e9
        assert line == {"task": "probe\n", "num_done": 3, "num_total": 35, "note": "ü"}


def test_the_logger_hears_of_the_end_of_each_task(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ray_defense"):
        report_progress("ingest", 0, 4)
        report_progress("ingest", 4, 4)
    assert [record.getMessage() for record in caplog.records] == ["ingest: 4 of 4"]
