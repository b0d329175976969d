"""source, attack --preview--> a contact sheet: eight images, clean and triggered in every phase, and what changed tenfold."""

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from ray_defense.attacks import Phase
from ray_defense.core.errors import Refused
from ray_defense.core.random import stream, uniform
from ray_defense.data.sources import Source
from ray_defense.execution.protocols import Executor
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.reports.figures import POISONED, drawable
from ray_defense.stages.attacker import prepare as attacker
from ray_defense.stages.attacker.eligible import eligible
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Store

NUM_IMAGES = 8
GAIN = 10  # of the difference
TILE = 128  # pixels that an image smaller than this is enlarged to, or to the largest whole multiple below
LEFT, TOP, MARGIN = 200, 136, 28  # pixels: the column of names, the head, the border
GAP, APART = 8, 10  # pixels: between tiles, and more above a row of triggered images
INK, SOFT, LINE = "#1d232a", "#5b6470", "#dfe3e8"
ROWS = {"train": "poisoned (train)", "cover": "cover (label kept)", "test": "poisoned (test)"}


@dataclass(frozen=True, eq=False)
class Sheet:
    """What the contact sheet shows of N images, all uint8 [N, H, W, 3]."""

    title: str
    subtitle: str
    index: np.ndarray  # int64 [N], place in the source
    labels: np.ndarray  # int64 [N]
    poisoned_labels: np.ndarray  # int64 [N]
    class_names: tuple[str, ...]
    clean: np.ndarray
    stamped: dict[Phase, np.ndarray]

    def rows(self) -> list[tuple[str, str, np.ndarray]]:
        """Returns the rows from the top: name, a remark or an empty text, images."""
        shown = [("clean", "", self.clean)]
        for phase, images in self.stamped.items():
            change = np.abs(images.astype(np.int16) - self.clean)
            remark = f"largest {change.max()}, mean {change.mean():.2f}"
            strong = np.minimum(GAIN * change, 255).astype(np.uint8)
            shown += [(ROWS[phase], "", images), (f"difference × {GAIN}", remark, strong)]
        return shown

    @property
    def side(self) -> tuple[int, int]:
        """The height and width of a tile, in pixels."""
        height, width = self.clean.shape[1:3]
        factor = max(1, TILE // max(height, width))
        return factor * height, factor * width

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Returns the top and left pixel of a tile."""
        height, width = self.side
        return TOP + row * (height + GAP) + (row + 1) // 2 * APART, LEFT + column * (width + GAP)


def run(recipe: Recipe, store: Store, executor: Executor) -> bytes:
    """Returns the contact sheet of the recipe's attack as a PNG; what the attack needs is made in `store` if it is missing.

    Raises Refused without an attack, or where it can stamp none of the images.
    """
    if recipe.attack is None:
        raise Refused(f"recipe {recipe.name} has no attack to show: choose one with --set attack=NAME")
    attack, source, names = recipe.attack, recipe.source, recipe.source.info().class_names
    index, images, labels = draw_samples(source, np.flatnonzero(eligible(attack, source)), recipe.seed)
    armed = attacker.make(
        attack, recipe.attacker, recipe.shard, source, Context(store, executor, recipe.seed, recipe.normalization)
    )
    phases: list[Phase] = ["train", "cover", "test"] if attack.aim.cover_ratio else ["train", "test"]
    sheet = Sheet(
        title=attack.name,
        subtitle=f"{source.name}: {len(index)} of the training samples that the attack may poison (seed {recipe.seed})",
        index=index,
        labels=labels,
        poisoned_labels=attack.aim.relabel(labels, len(names)),
        class_names=names,
        clean=images,
        stamped={phase: armed.stamp(images, index, phase) for phase in phases},
    )
    return draw(sheet)


def draw_samples(source: Source, candidates: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns index int64 [N], images uint8 [N, H, W, 3] and labels int64 [N] of NUM_IMAGES random candidates, by index.

    What does not decode is passed over; fewer where there are fewer. Raises Refused where there is none.
    """
    order = candidates[np.argsort(uniform(stream(seed, "preview"), candidates, 1)[:, 0], kind="stable")]
    found = []
    for place in order.tolist():
        batch = source.read("train", place, place + 1)
        if len(batch.index):
            found.append((place, batch.images[0], batch.labels[0]))
        if len(found) == NUM_IMAGES:
            break
    if not found:
        raise Refused(f"none of the {len(candidates)} training samples that the attack may poison can be shown: change its aim")
    index, images, labels = zip(*sorted(found, key=lambda sample: sample[0]), strict=True)
    return np.array(index), np.stack(images), np.array(labels)


def draw(sheet: Sheet) -> bytes:
    """Returns the sheet as a PNG; the same sheet gives the same bytes, and every name in it is inert."""
    rows, (height, width) = sheet.rows(), sheet.side
    (last, _), (_, right) = sheet.corner(len(rows) - 1, 0), sheet.corner(0, NUM_IMAGES)
    bottom = last + height
    canvas = Image.new("RGB", (right - GAP + MARGIN, bottom + MARGIN + 20), "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((MARGIN, MARGIN), sheet.title, INK, _font(24, bold=True))
    pen.text((MARGIN, MARGIN + 34), sheet.subtitle, SOFT, _font(14))
    for number, (name, remark, images) in enumerate(rows):
        top, _ = sheet.corner(number, 0)
        pen.text((MARGIN, top + height // 2 - (10 if remark else 0)), name, INK, _font(14), anchor="lm")
        pen.text((MARGIN, top + height // 2 + 12), remark, SOFT, _font(12), anchor="lm")
        for column, image in enumerate(images):
            top, left = sheet.corner(number, column)
            pen.rectangle((left - 1, top - 1, left + width, top + height), outline=LINE)
            canvas.paste(Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST), (left, top))
    for column, (place, before, after) in enumerate(zip(sheet.index, sheet.labels, sheet.poisoned_labels, strict=True)):
        _, left = sheet.corner(0, column)
        old, new = (drawable(int(label), sheet.class_names[label]) for label in (before, after))
        said, color = ("label kept", SOFT) if before == after else (f"→ {new}", POISONED)
        pen.text((left, TOP - 31), _fit(old, width), INK, _font(14), anchor="ls")
        pen.text((left, TOP - 12), _fit(said, width), color, _font(14), anchor="ls")
        pen.text((left, bottom + 6), f"#{place}", SOFT, _font(12))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def _fit(text: str, width: int) -> str:
    """Returns `text`, or as much of its beginning as `width` pixels hold."""
    font, shown = _font(14), text
    while len(shown) > 1 and font.getlength(shown) > width:
        shown = shown.rstrip("…")[:-1] + "…"
    return shown


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    file = findfont(f"DejaVu Sans:{'bold' if bold else 'regular'}")  # comes with matplotlib
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)
