"""A figure of the most suspicious samples of an audit, for notebooks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUM_COLUMNS = 10
_NAME_CHARACTERS = 24


def draw_samples(images: np.ndarray, class_names: Sequence[str]) -> "Figure":
    """Returns a figure of samples by ascending rank, as the detectors saw them.

    Args:
        images: uint8 [N, H, W, 3], at least one.
        class_names: The name of the class of each, [N].
    """
    from matplotlib.figure import Figure

    num_rows = -(-len(images) // _NUM_COLUMNS)
    figure = Figure(figsize=(_NUM_COLUMNS * 1.4, num_rows * 1.7), layout="constrained")
    axes = figure.subplots(num_rows, _NUM_COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for position, (image, name) in enumerate(zip(images, class_names, strict=True)):
        axis = axes.flat[position]
        axis.imshow(image, interpolation="nearest")
        title = axis.set_title(f"#{position + 1} {name[:_NAME_CHARACTERS]}", fontsize=7)
        title.set_parse_math(False)
    return figure
