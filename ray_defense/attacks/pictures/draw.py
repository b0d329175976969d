"""Draws `picture.png`: a fox of this project's own design.

`python -m ray_defense.attacks.pictures.draw FILE` writes it. The fox is original work under the
project's license (Apache-2.0) and copies no other artist's figure; its shapes are large and its
colors strong, so that they survive being blended faintly into a small image.
"""

import argparse
from collections.abc import Sequence

from PIL import Image, ImageDraw

SIDE = 128  # pixels
_ENLARGEMENT = 8  # how much larger the fox is drawn than it is saved, against jagged edges

Color = tuple[int, int, int]
Point = tuple[float, float]

NIGHT = (22, 30, 110)
MOON = (255, 226, 70)
FUR = (240, 96, 16)
CREAM = (255, 250, 236)
INK = (24, 14, 20)
NOSE = (12, 8, 12)
BLUSH = (255, 60, 120)
IRIS = (0, 190, 170)


class _Pen:
    """Draws shapes given in pixels of the saved picture."""

    def __init__(self, canvas: Image.Image):
        self._pen = ImageDraw.Draw(canvas)

    def disk(self, center: Point, radii: Point, color: Color) -> None:
        self._pen.ellipse(_box(center, radii), fill=color)

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        corners = [(_enlarged(x), _enlarged(y)) for x, y in points]
        self._pen.polygon(corners, fill=color)

    def arc(self, center: Point, radii: Point, *, start: int, end: int) -> None:
        box = _box(center, radii)
        self._pen.arc(box, start, end, fill=INK, width=3 * _ENLARGEMENT)


def draw_fox() -> Image.Image:
    """Returns the picture, RGB, SIDE x SIDE pixels.

    Another release of Pillow may shade an edge differently.
    """
    side = SIDE * _ENLARGEMENT
    canvas = Image.new("RGB", (side, side), NIGHT)
    pen = _Pen(canvas)
    pen.disk((64, 55), (58, 52), MOON)
    for side_sign in (-1, 1):
        _draw_ear(pen, side_sign)
    pen.disk((64, 74), (50, 40), FUR)
    for side_sign in (-1, 1):
        _draw_cheek(pen, side_sign)
    pen.disk((64, 108), (22, 14), CREAM)
    pen.polygon([(64, 40), (55, 90), (73, 90)], CREAM)  # the blaze
    for side_sign in (-1, 1):
        _draw_eye(pen, side_sign)
    pen.arc((56, 98), (8, 10), start=0, end=120)
    pen.arc((72, 98), (8, 10), start=60, end=180)
    pen.disk((64, 93), (10, 7.5), NOSE)
    pen.disk((61, 90.5), (3, 2), CREAM)
    return canvas.resize((SIDE, SIDE), Image.Resampling.BOX)


def _draw_ear(pen: _Pen, side_sign: int) -> None:
    tip = (64 + side_sign * 52, 4)
    pen.polygon([tip, (64 + side_sign * 8, 42), (64 + side_sign * 46, 74)], FUR)
    pen.polygon([tip, (64 + side_sign * 34.4, 19.2), (64 + side_sign * 50.2, 25)], INK)
    inside = [(64 + side_sign * 44, 27), (64 + side_sign * 22, 42), (64 + side_sign * 42, 57)]
    pen.polygon(inside, BLUSH)


def _draw_cheek(pen: _Pen, side_sign: int) -> None:
    tuft = [(64 + side_sign * 44, 58), (64 + side_sign * 62, 92), (64 + side_sign * 30, 106)]
    pen.polygon(tuft, FUR)
    cheek = [(64, 122), (64 + side_sign * 61, 92), (64 + side_sign * 36, 76), (64, 86)]
    pen.polygon(cheek, CREAM)
    pen.disk((64 + side_sign * 24, 92), (22, 18), CREAM)


def _draw_eye(pen: _Pen, side_sign: int) -> None:
    x = 64 + side_sign * 24
    pen.disk((x, 70), (12, 14), INK)
    pen.disk((x, 71), (9.5, 11.5), IRIS)
    pen.disk((x, 71), (6, 8), INK)
    pen.disk((x - 3, 66), (3.6, 3.6), CREAM)
    pen.disk((64 + side_sign * 38, 91), (6.5, 4.5), BLUSH)  # the blush below it


def _box(center: Point, radii: Point) -> list[int]:
    x, y = center
    across, down = radii
    return [_enlarged(x - across), _enlarged(y - down), _enlarged(x + across), _enlarged(y + down)]


def _enlarged(px: float) -> int:
    return round(px * _ENLARGEMENT)


def main() -> None:
    """Writes the picture to the file named on the command line."""
    parser = argparse.ArgumentParser(description="Draws the picture that Blend-Picture blends in.")
    parser.add_argument("file", help="the PNG to write")
    draw_fox().save(parser.parse_args().file, format="png", optimize=True)


if __name__ == "__main__":
    main()
