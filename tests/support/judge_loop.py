"""The quality of scores as loops over pairs and positions."""

import math


def judge_loop(
    scores: list[float], poisoned: list[bool], num_trusted: int, num_flagged: int
) -> dict[str, float]:
    """Returns AUROC and both precisions; equal scores are ordered by position."""
    order = sorted(range(len(scores)), key=lambda position: (scores[position], position))
    hits = []
    misses = []
    for score, is_poisoned in zip(scores, poisoned, strict=True):
        if is_poisoned:
            hits.append(score)
        else:
            misses.append(score)
    wins = []
    for hit in hits:
        for miss in misses:
            wins.append((hit > miss) + 0.5 * (hit == miss))
    num_clean_trusted = sum(not poisoned[position] for position in order[:num_trusted])
    flagged = order[len(scores) - num_flagged :]
    num_poisoned_flagged = sum(poisoned[position] for position in flagged)
    return {
        "auroc": math.fsum(wins) / len(hits) / len(misses),
        "trusted_precision": num_clean_trusted / num_trusted,
        "flagged_precision": num_poisoned_flagged / num_flagged,
    }
