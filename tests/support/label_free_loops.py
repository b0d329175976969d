"""The label-free metrics as loops, for parity tests."""

import math
from collections import Counter
from collections.abc import Sequence


def entropy_loop(weights: Sequence[float]) -> float:
    """Returns the entropy, in nats, of weights scaled to sum to 1."""
    total = math.fsum(weights)
    terms = []
    for weight in weights:
        if weight > 0:
            terms.append(weight / total * math.log(weight / total))
    return -math.fsum(terms)


def separation_loop(scores: Sequence[float]) -> float:
    """Returns the largest share of the variance that lies between two groups, over all cuts."""
    mean_score = math.fsum(scores) / len(scores)
    values = list(scores)
    if mean_score:
        values = [math.log1p(score / mean_score) for score in scores]
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    best = 0.0
    for cut in sorted(set(values))[1:]:
        low = [value for value in values if value < cut]
        high = [value for value in values if value >= cut]
        gap = math.fsum(high) / len(high) - math.fsum(low) / len(low)
        between = len(low) * len(high) / len(values) ** 2 * gap**2
        best = max(best, between / variance)
    return best


def label_free_loops(
    scores: Sequence[float], labels: Sequence[int], num_trusted: int, num_flagged: int
) -> dict[str, float]:
    """Returns `label_free_metrics` but `separated_share`, of a split into parts of these sizes."""
    order = sorted(range(len(scores)), key=lambda position: (scores[position], position))
    trusted = order[:num_trusted]
    flagged = order[len(scores) - num_flagged :]
    of_all = Counter(labels)
    of_trusted = Counter(labels[i] for i in trusted)
    of_flagged = Counter(labels[i] for i in flagged)
    times = Counter(scores)

    num_ties = 0
    for i in trusted:
        if times[scores[i]] > 1:
            num_ties += 1
    rates = []
    num_starved = 0
    for label, count in of_all.items():
        rates.append(of_trusted[label] / count)
        if of_trusted[label] < 0.1 * count * num_trusted / len(scores):
            num_starved += 1
    balance = 1.0
    if len(of_all) > 1:
        balance = entropy_loop(rates) / math.log(len(of_all))
    common = min(of_flagged, key=lambda label: (-of_flagged[label], label))
    return {
        "zero_share": times[0.0] / len(scores),
        "tie_share": num_ties / num_trusted,
        "trusted_balance": balance,
        "trusted_starved": num_starved / len(of_all),
        "flagged_concentration": of_flagged[common] / num_flagged - of_all[common] / len(scores),
        "separation": separation_loop(scores),
    }
