"""The file with what planted canaries show: `power.json`."""

from ray_defense.detectors.decision.verdict import CanaryResult, Power
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_json

POWER_FILE = "power.json"


def read_power(artifact: Artifact) -> Power:
    """Returns what is in the file of a finished artifact."""
    results = []
    for result in read_checked_json(artifact.path / POWER_FILE)["canaries"]:
        results.append(CanaryResult(**result))
    return Power(tuple(results))
