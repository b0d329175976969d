"""One training epoch under torch's profiler: its longest gaps between kernels, its longest kernels.

Without a GPU the operations of the CPU take the place of the kernels.
"""

import bisect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


@dataclass(frozen=True)
class Kernel:
    """One kernel, or one copy, on the clock of the profiler."""

    name: str
    start_us: float
    end_us: float


def profile_function(
    function: Callable[[], object], device: torch.device, num_longest: int = 10
) -> dict[str, Any]:
    """Returns where the time of a function goes; it should have run before, to be warm."""
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    events = profiler.events()
    kernel_type = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU
    kernels = []
    waits = dict.fromkeys(_WAITS, 0)
    host_calls = []
    for event in events:
        span = Kernel(event.name, event.time_range.start, event.time_range.end)
        if event.device_type == kernel_type:
            kernels.append(span)
        if event.device_type == DeviceType.CPU:
            host_calls.append(span)
        if event.name in waits:
            waits[event.name] += 1
    return {**describe_kernels(kernels, host_calls, num_longest), "host_waits": waits}


def describe_kernels(
    kernels: Iterable[Kernel], host_calls: Sequence[Kernel], num_longest: int
) -> dict[str, Any]:
    """Returns the share of time that a device works, its longest gaps, and its longest kernels.

    Args:
        kernels: In any order; those on several streams may overlap.
        host_calls: What the host did, to say what it was at in a gap.
        num_longest: How many gaps and kernels are named.
    """
    ordered = sorted(kernels, key=lambda kernel: kernel.start_us)
    if not ordered:
        return {"num_kernels": 0, "busy_fraction": None, "gaps": [], "kernels": []}
    first_us = ordered[0].start_us
    busy_us = 0.0
    last = ordered[0]
    busy_us += last.end_us - last.start_us
    gaps = []
    totals: dict[str, list[float]] = {last.name: [last.end_us - last.start_us, 1]}
    for kernel in ordered[1:]:
        total = totals.setdefault(kernel.name, [0.0, 0])
        total[0] += kernel.end_us - kernel.start_us
        total[1] += 1
        gap_us = kernel.start_us - last.end_us
        if gap_us > 0:
            gaps.append((gap_us, last, kernel))
        busy_us += max(0.0, kernel.end_us - max(kernel.start_us, last.end_us))
        if kernel.end_us > last.end_us:
            last = kernel
    span_us = last.end_us - first_us
    gaps.sort(key=lambda gap: -gap[0])
    calls = sorted(host_calls, key=lambda call: call.start_us)
    starts = [call.start_us for call in calls]
    described = []
    for gap_us, before, after in gaps[:num_longest]:
        middle_us = before.end_us + gap_us / 2
        described.append(
            {
                "us": round(gap_us, 1),
                "at_us": round(before.end_us - first_us, 1),
                "after": before.name[:80],
                "before": after.name[:80],
                "host": _calls_at(middle_us, calls, starts),
            }
        )
    longest = sorted(totals.items(), key=lambda item: -item[1][0])
    named = []
    for name, (total_us, count) in longest[:num_longest]:
        named.append({"name": name[:120], "total_us": round(total_us, 1), "count": int(count)})
    return {
        "num_kernels": len(ordered),
        "span_us": round(span_us, 1),
        "busy_fraction": round(busy_us / span_us, 4) if span_us else None,
        "gap_us": round(sum(gap[0] for gap in gaps), 1),
        "gaps": described,
        "kernels": named,
    }


def _calls_at(
    time_us: float, calls: Sequence[Kernel], starts: Sequence[float], most: int = 3
) -> list[str]:
    """Returns the innermost calls of the host at a time, innermost first."""
    names: list[str] = []
    position = bisect.bisect_right(starts, time_us)
    for call in reversed(calls[max(0, position - 200) : position]):
        if call.end_us >= time_us:
            names.append(call.name[:80])
        if len(names) == most:
            break
    return names
