"""Draws `picture.png`: a fox of this project's own design, original work under the project's license (Apache-2.0).

`python -m ray_defense.attacks.pictures.draw FILE` writes it. It copies no other artist's figure; its shapes are large and
its colors strong, so that they survive being blended faintly into a small image.
"""

import argparse

from PIL import Image, ImageDraw

SIDE = 128  # pixels
_FINER = 8  # times larger while drawing, against jagged edges

NIGHT, MOON = (22, 30, 110), (255, 226, 70)
FUR, CREAM, INK, NOSE = (240, 96, 16), (255, 250, 236), (24, 14, 20), (12, 8, 12)
BLUSH, IRIS = (255, 60, 120), (0, 190, 170)


def draw() -> Image.Image:
    """Returns the picture, RGB, SIDE x SIDE pixels; other releases of Pillow may shade an edge otherwise."""
    large = Image.new("RGB", (SIDE * _FINER, SIDE * _FINER), NIGHT)
    pen = ImageDraw.Draw(large)

    def disk(x: float, y: float, across: float, down: float, color: tuple[int, int, int]) -> None:
        pen.ellipse([round(value * _FINER) for value in (x - across, y - down, x + across, y + down)], fill=color)

    def polygon(color: tuple[int, int, int], *points: tuple[float, float]) -> None:
        pen.polygon([(round(x * _FINER), round(y * _FINER)) for x, y in points], fill=color)

    disk(64, 55, 58, 52, MOON)
    for side in (-1, 1):

        def x(offset: float, side: int = side) -> float:
            return 64 + side * offset

        polygon(FUR, (x(52), 4), (x(8), 42), (x(46), 74))  # ear
        polygon(INK, (x(52), 4), (x(34.4), 19.2), (x(50.2), 25))  # its tip
        polygon(BLUSH, (x(44), 27), (x(22), 42), (x(42), 57))  # its inside
    disk(64, 74, 50, 40, FUR)
    for side in (-1, 1):
        polygon(FUR, (64 + side * 44, 58), (64 + side * 62, 92), (64 + side * 30, 106))  # tuft of the cheek
        polygon(CREAM, (64, 122), (64 + side * 61, 92), (64 + side * 36, 76), (64, 86))
        disk(64 + side * 24, 92, 22, 18, CREAM)
    disk(64, 108, 22, 14, CREAM)
    polygon(CREAM, (64, 40), (55, 90), (73, 90))  # blaze
    for side in (-1, 1):
        eye = 64 + side * 24
        disk(eye, 70, 12, 14, INK)
        disk(eye, 71, 9.5, 11.5, IRIS)
        disk(eye, 71, 6, 8, INK)
        disk(eye - 3, 66, 3.6, 3.6, CREAM)
        disk(64 + side * 38, 91, 6.5, 4.5, BLUSH)
    pen.arc([round(value * _FINER) for value in (48, 88, 64, 108)], 0, 120, fill=INK, width=3 * _FINER)
    pen.arc([round(value * _FINER) for value in (64, 88, 80, 108)], 60, 180, fill=INK, width=3 * _FINER)
    disk(64, 93, 10, 7.5, NOSE)
    disk(61, 90.5, 3, 2, CREAM)
    return large.resize((SIDE, SIDE), Image.Resampling.BOX)


def main() -> None:
    """Writes the picture to the file named on the command line."""
    parser = argparse.ArgumentParser(description="Draws the picture that Blend-Picture blends in.")
    parser.add_argument("file", help="the PNG to write")
    draw().save(parser.parse_args().file, format="png", optimize=True)


if __name__ == "__main__":
    main()
