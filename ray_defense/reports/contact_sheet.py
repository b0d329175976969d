"""A contact sheet of an attack as a PNG: images clean and triggered, and what changed, tenfold."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ray_defense.core.neutral_directory import import_apart
from ray_defense.reports.figures import POISONED_COLOR, drawable

NUM_COLUMNS = 8  # the width of the sheet, in tiles, even where it shows fewer images
GAIN = 10  # of the difference
# Pixels.
_TILE = 128  # a smaller image is enlarged to this, or to the largest whole multiple below
_LEFT = 200  # width of the column of names
_TOP = 136  # height of the head
_MARGIN = 28  # the border
_GAP = 8  # between tiles
_PHASE_GAP = 10  # in addition, above a row of triggered images
_TEXT_COLOR = "#1d232a"
_SOFT_COLOR = "#5b6470"
_FRAME_COLOR = "#dfe3e8"
_ROW_NAMES = {
    "train": "poisoned (train)",
    "cover": "cover (label kept)",
    "test": "poisoned (test)",
}


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One row of tiles."""

    name: str
    remark: str  # below the name; may be empty
    images: np.ndarray  # uint8 [N, H, W, 3]


@dataclass(frozen=True, eq=False)
class ContactSheet:
    """What the contact sheet shows of N images, at most NUM_COLUMNS."""

    title: str
    subtitle: str
    index: np.ndarray  # int64 [N], position in the source
    labels: np.ndarray  # int64 [N]
    poisoned_labels: np.ndarray  # int64 [N]
    class_names: tuple[str, ...]
    clean: np.ndarray  # uint8 [N, H, W, 3]
    stamped: Mapping[str, np.ndarray]  # uint8 [N, H, W, 3] by phase: "train", "cover", "test"

    def rows(self) -> list[SheetRow]:
        """Returns the rows from the top: the clean images, then two rows for each phase."""
        rows = [SheetRow("clean", "", self.clean)]
        for phase, images in self.stamped.items():
            change = np.abs(images.astype(np.int16) - self.clean)
            remark = f"largest {change.max()}, mean {change.mean():.2f}"
            amplified = np.minimum(GAIN * change, 255).astype(np.uint8)
            rows.append(SheetRow(_ROW_NAMES[phase], "", images))
            rows.append(SheetRow(f"difference × {GAIN}", remark, amplified))
        return rows

    @property
    def tile_size(self) -> tuple[int, int]:
        """The height and width of a tile, in pixels."""
        height, width = self.clean.shape[1:3]
        factor = max(1, _TILE // max(height, width))
        return factor * height, factor * width

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Returns the top and left pixel of a tile."""
        height, width = self.tile_size
        top = _TOP + row * (height + _GAP) + (row + 1) // 2 * _PHASE_GAP
        left = _LEFT + column * (width + _GAP)
        return top, left


def draw_contact_sheet(sheet: ContactSheet) -> bytes:
    """Returns the sheet as a PNG.

    The same sheet gives the same bytes. A name of a class changes no pixel outside its caption.
    """
    rows = sheet.rows()
    height, _ = sheet.tile_size
    top_of_last_row, _ = sheet.corner(len(rows) - 1, 0)
    bottom = top_of_last_row + height
    _, right = sheet.corner(0, NUM_COLUMNS)
    size = (right - _GAP + _MARGIN, bottom + _MARGIN + 20)
    canvas = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((_MARGIN, _MARGIN), sheet.title, _TEXT_COLOR, font=_font(24, bold=True))
    pen.text((_MARGIN, _MARGIN + 34), sheet.subtitle, _SOFT_COLOR, font=_font(14))
    for number, row in enumerate(rows):
        _draw_row(canvas, sheet, row, number=number)
    for column in range(len(sheet.index)):
        _draw_captions(pen, sheet, column, bottom=bottom)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def _draw_row(canvas: Image.Image, sheet: ContactSheet, row: SheetRow, *, number: int) -> None:
    """Draws the name, the remark and the tiles of a row, the `number`-th from the top."""
    pen = ImageDraw.Draw(canvas)
    height, width = sheet.tile_size
    top, _ = sheet.corner(number, 0)
    middle = top + height // 2
    name_height = middle - 10 if row.remark else middle
    pen.text((_MARGIN, name_height), row.name, _TEXT_COLOR, font=_font(14), anchor="lm")
    pen.text((_MARGIN, middle + 12), row.remark, _SOFT_COLOR, font=_font(12), anchor="lm")
    for column, image in enumerate(row.images):
        _, left = sheet.corner(number, column)
        pen.rectangle((left - 1, top - 1, left + width, top + height), outline=_FRAME_COLOR)
        tile = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
        canvas.paste(tile, (left, top))


def _draw_captions(
    pen: ImageDraw.ImageDraw, sheet: ContactSheet, column: int, *, bottom: int
) -> None:
    """Draws the labels above a column, and the position of its sample in the source below it."""
    _, width = sheet.tile_size
    _, left = sheet.corner(0, column)
    label = int(sheet.labels[column])
    poisoned_label = int(sheet.poisoned_labels[column])
    class_name = drawable(label, sheet.class_names[label])
    change = "label kept"
    color = _SOFT_COLOR
    if poisoned_label != label:
        change = "→ " + drawable(poisoned_label, sheet.class_names[poisoned_label])
        color = POISONED_COLOR
    font = _font(14)
    pen.text((left, _TOP - 31), _fit(class_name, width), _TEXT_COLOR, font=font, anchor="ls")
    pen.text((left, _TOP - 12), _fit(change, width), color, font=font, anchor="ls")
    pen.text((left, bottom + 6), f"#{sheet.index[column]}", _SOFT_COLOR, font=_font(12))


def _fit(text: str, width: int) -> str:
    """Returns a text, or as much of its beginning as fits into `width` pixels."""
    font = _font(14)
    shown = text
    while len(shown) > 1 and font.getlength(shown) > width:
        shown = shown.rstrip("…")[:-1] + "…"
    return shown


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    import_apart("matplotlib")
    from matplotlib.font_manager import findfont  # whose import writes to the user's home

    weight = "bold" if bold else "regular"
    file = findfont(f"DejaVu Sans:{weight}")  # comes with matplotlib
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)
