"""What figures read off runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from ray_defense.studies.run_readings import RunReading, intra_cluster_distances, read_run


def test_the_distances_are_those_of_eq_6_as_loops():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 5))
    labels = np.arange(60) % 3
    poisoned = (labels == 1) & (np.arange(60) < 30)

    def center(kind: bool, label: int) -> list[float]:
        members = [i for i in range(60) if labels[i] == label and bool(poisoned[i]) is kind]
        return [sum(features[i][d] for i in members) / len(members) for d in range(5)]

    def distance(label: int) -> float:
        pairs = zip(center(True, 1), center(False, label), strict=True)
        return sum((first - second) ** 2 for first, second in pairs)

    to_target, to_others = intra_cluster_distances(features, labels, poisoned)
    assert to_target == pytest.approx(distance(1))
    assert to_others == pytest.approx((distance(0) + distance(2)) / 2)


def test_without_clean_samples_of_the_target_there_is_no_distance_to_them():
    labels = np.array([0, 0, 1])
    poisoned = np.array([True, True, False])
    to_target, to_others = intra_cluster_distances(np.eye(3), labels, poisoned)
    assert np.isnan(to_target)
    assert to_others == pytest.approx(1.5)


def test_a_note_is_the_models_own_or_the_one_for_all():
    reading = RunReading({"d_br": "own", "": "all"})
    assert [reading.note("d_br"), reading.note("d_st")] == ["own", "all"]
    assert RunReading().note("d_br") == ""


def step_of(key: str, seconds: float) -> SimpleNamespace:
    return SimpleNamespace(key=key, artifact=SimpleNamespace(seconds=seconds))


def test_seconds_of_repair_hold_plain_training_and_those_of_secure_training_do_not():
    evidence = step_of("e", 30)
    steps = {
        "probe": step_of("p", 60),
        "evidence": evidence,
        "split": step_of("s", 10),
        "backdoored": step_of("b", 200),
        "d_br": step_of("r", 100),
        "d_st": step_of("t", 500),
    }
    plan = SimpleNamespace(
        artifacts=lambda: {stage: step.artifact for stage, step in steps.items()},
        # One artifact may stand for two stages: it counts once.
        detection=SimpleNamespace(
            steps={"probe": steps["probe"], "evidence": evidence, "fct": evidence}
        ),
        split=steps["split"],
        defenses=("d_br", "d_st"),
    )
    reading = read_run("seconds", plan)
    assert reading.note("backdoored") == "plain training 200 s"
    assert reading.note("d_br") == (
        "distinguishing 100 s, plain training 200 s, its own training 100 s: "
        "2.0 times plain training"
    )
    assert reading.note("d_st") == (
        "distinguishing 100 s, its own training 500 s: 3.0 times plain training"
    )
