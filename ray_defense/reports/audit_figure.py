"""A figure of the most suspicious samples of an audit, for notebooks."""

from typing import TYPE_CHECKING

from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ray_defense.reports.audit import Audit

_NUM_COLUMNS = 10
_NAME_CHARACTERS = 24


def draw_samples(audit: "Audit", num_images: int) -> "Figure":
    """Returns a figure of the samples of the highest ranks, as the detectors saw them.

    Raises:
        InputError: If the store of the audit is not beside it any more.
    """
    from matplotlib.figure import Figure

    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.reports.audit_files import read_manifest_of_audit

    manifest = read_manifest_of_audit(audit.out)
    directory = (audit.out / manifest["artifacts"]["ingest"]).resolve()
    if not directory.is_dir():
        raise InputError(f"no dataset in {str(directory)!r}: run the audit again")
    dataset = SuspectDataset(directory)
    index = audit.columns["index"][: max(1, num_images)]
    images = dataset.read_images(dataset.locate(index))
    num_rows = -(-len(index) // _NUM_COLUMNS)
    figure = Figure(figsize=(_NUM_COLUMNS * 1.4, num_rows * 1.7), layout="constrained")
    axes = figure.subplots(num_rows, _NUM_COLUMNS, squeeze=False)
    for position, axis in enumerate(axes.flat):
        axis.axis("off")
        if position < len(index):
            axis.imshow(images[position], interpolation="nearest")
            name = str(audit.columns["class"][position])[:_NAME_CHARACTERS]
            title = axis.set_title(f"#{position + 1} {name}", fontsize=7)
            title.set_parse_math(False)
    return figure
