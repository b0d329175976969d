"""The contact sheet: its pixels are those of source and attack, its samples may be poisoned, its bytes stay the same."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ray_defense import api
from ray_defense.attacks import AllToOne, Attack, BadNets, Sig
from ray_defense.cli.main import main
from ray_defense.core.errors import Refused
from ray_defense.core.random import stream, uniform
from ray_defense.data.sources import Digits, Parquet
from ray_defense.execution.local import LocalExecutor
from ray_defense.pipeline.recipes import digits_badnets
from ray_defense.stages.attacker.eligible import eligible
from ray_defense.store.artifacts import Store
from ray_defense.studies import attack_preview as preview
from ray_defense.studies.attack_preview import GAIN, NUM_IMAGES, Sheet, draw, draw_samples


def make_sheet(count: int = 3, side: int = 32, **changes: object) -> Sheet:
    pixels = (256 * uniform(stream(0, "sheet"), np.arange(2 * count), side * side * 3)).astype(np.uint8)
    clean, stamped = pixels.reshape(2, count, side, side, 3)
    sheet = Sheet(
        title="attack",
        subtitle="source",
        index=np.arange(count),
        labels=np.ones(count, np.int64),
        poisoned_labels=np.zeros(count, np.int64),
        class_names=("zero", "one"),
        clean=clean,
        stamped={"train": stamped, "test": clean},
    )
    return replace(sheet, **changes)


def open_pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def tile(pixels: np.ndarray, sheet: Sheet, row: int, column: int) -> np.ndarray:
    """Returns what a tile shows, uint8 [H, W, 3] of the image's own size; every pixel was enlarged to a square."""
    (top, left), (height, width) = sheet.corner(row, column), sheet.side
    shown = pixels[top : top + height, left : left + width]
    factor = height // sheet.clean.shape[1]
    small = shown[::factor, ::factor]
    assert np.array_equal(shown, small.repeat(factor, 0).repeat(factor, 1))
    return small


@pytest.mark.parametrize(("side", "enlarged"), [(8, 128), (32, 128), (48, 96), (100, 100), (128, 128), (200, 200)])
def test_every_tile_holds_the_very_pixels(side: int, enlarged: int) -> None:
    sheet = make_sheet(side=side)
    assert sheet.side == (enlarged, enlarged)
    pixels, train = open_pixels(draw(sheet)), sheet.stamped["train"]
    change = np.minimum(GAIN * np.abs(train.astype(int) - sheet.clean), 255)
    for column in range(3):
        rows = (sheet.clean, train, change, sheet.clean, np.zeros_like(change))
        for row, images in enumerate(rows):
            assert np.array_equal(tile(pixels, sheet, row, column), images[column])


def test_the_remark_on_a_difference_is_its_largest_and_mean_before_it_is_strengthened() -> None:
    clean = np.full((2, 4, 4, 3), 9, np.uint8)
    stamped = clean.copy()
    stamped[0, 0, 0, 0] = 0  # below the clean value: the difference must not wrap round
    stamped[1, 0, 0] = 209
    rows = make_sheet(2, clean=clean, stamped={"train": stamped}).rows()
    assert [name for name, _, _ in rows] == ["clean", "poisoned (train)", "difference × 10"]
    assert rows[2][1] == f"largest 200, mean {(9 + 600) / 96:.2f}"
    assert rows[2][2][0, 0, 0].tolist() == [90, 0, 0] and rows[2][2][1, 0, 0].tolist() == [255] * 3


def test_the_same_sheet_has_the_same_bytes_and_says_nothing_about_when_and_where() -> None:
    png = draw(make_sheet())
    assert draw(make_sheet()) == png
    assert not Image.open(io.BytesIO(png)).info


@pytest.mark.parametrize("name", ["<b>", "\x1b[31m", "a\nb\nc", "\u202egnp", "\udcff", "", "日本", "\U0001f984", "-rf " * 1000])
def test_no_class_name_changes_the_sheet_outside_its_place(name: str) -> None:
    plain, hostile = make_sheet(), make_sheet(class_names=(name, name))
    before, after = open_pixels(draw(plain)), open_pixels(draw(hostile))
    assert before.shape == after.shape
    (top, left), (_, right) = plain.corner(0, 0), plain.corner(0, 3)
    rows, columns, _ = np.nonzero(before != after)
    assert rows.max() < top and columns.min() >= left and columns.max() < right


def test_badnets_changes_the_corner_of_eligible_images_of_the_source_and_nothing_else(tmp_path: Path) -> None:
    output = tmp_path / "x.png"
    argv = ["attacks", "preview", "badnets", "--executor", "local", "--backend", "numpy", "--store", str(tmp_path / "s")]
    assert main([*argv, "--set", "attack.aim.target=3", "--output", str(output)]) == 0
    source, pixels = Digits(), open_pixels(output.read_bytes())
    candidates = np.flatnonzero(source.labels("train") != 3)
    index, images, labels = draw_samples(source, candidates, 0)
    sheet = Sheet("", "", index, labels, labels, source.info().class_names, images, {"train": images, "test": images})
    assert len(index) == NUM_IMAGES and 3 not in labels
    for column, place in enumerate(index):
        clean = source.read("train", int(place), int(place) + 1).images[0]
        assert np.array_equal(tile(pixels, sheet, 0, column), clean)
        for row in (2, 4):
            difference = tile(pixels, sheet, row, column)
            assert difference[-3:, -3:].any() and not difference[:-3].any() and not difference[:, :-3].any()


@pytest.mark.parametrize("attack", [BadNets(), Sig()], ids=lambda attack: attack.name)
def test_samples_are_eligible_distinct_in_order_and_a_function_of_the_seed(attack: Attack) -> None:
    source = Digits()
    candidates = np.flatnonzero(eligible(attack, source))
    index, _, labels = draw_samples(source, candidates, 0)
    assert np.array_equal(labels, source.labels("train")[index]) and attack.aim.eligible(labels).all()
    assert (np.diff(index) > 0).all() and len(index) == NUM_IMAGES
    assert np.array_equal(draw_samples(source, candidates, 0)[0], index)
    assert not np.array_equal(draw_samples(source, candidates, 1)[0], index)


@pytest.fixture
def few(tmp_path: Path) -> Parquet:
    """Five samples of two classes: one does not decode, one has a label that is none."""
    images = [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in range(5)]
    sinks = [io.BytesIO() for _ in images]
    for image, sink in zip(images, sinks, strict=True):
        image.save(sink, "PNG")
    blobs = [sink.getvalue() for sink in sinks]
    blobs[2] = b"no image"
    pq.write_table(pa.table({"image": blobs, "label": [0, 1, 1, 9, 1]}), tmp_path / "few.parquet")
    return Parquet(str(tmp_path / "few.parquet"), size=16, num_classes=2)


def test_what_does_not_decode_or_has_no_class_is_passed_over(few: Parquet) -> None:
    chosen = eligible(BadNets(), few)
    assert chosen.tolist() == [False, True, True, False, True]
    index, images, labels = draw_samples(few, np.flatnonzero(chosen), 0)
    assert index.tolist() == [1, 4] and labels.tolist() == [1, 1] and images[:, 0, 0, 0].tolist() == [1, 4]


def test_a_source_with_no_sample_to_poison_is_refused(few: Parquet, tmp_path: Path) -> None:
    nobody = replace(digits_badnets(), source=replace(few, num_classes=1))
    with pytest.raises(Refused, match="none of the 0 training samples"):
        api.preview(nobody, store=tmp_path / "s")


@dataclass(frozen=True)
class Recording(BadNets):
    """BadNets that shows in its pixels the phase it was asked for."""

    aim: AllToOne = AllToOne(cover_ratio=1.0)

    def stamp(self, images_NHWC, index, phase="train", material=None):
        return np.full_like(images_NHWC, {"train": 1, "cover": 2, "test": 3}[phase])


def test_each_phase_has_its_rows_and_cover_only_where_there_are_cover_samples(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Sheet] = []
    monkeypatch.setattr(preview, "draw", lambda sheet: seen.append(sheet) or b"")
    for attack in (Recording(), Recording(AllToOne())):
        preview.run(replace(digits_badnets(), attack=attack), Store(tmp_path), LocalExecutor("numpy"))
    shown = [{phase: int(images.max()) for phase, images in sheet.stamped.items()} for sheet in seen]
    assert shown == [{"train": 1, "cover": 2, "test": 3}, {"train": 1, "test": 3}]
    assert [len(sheet.rows()) for sheet in seen] == [7, 5]


def test_a_recipe_without_an_attack_has_no_preview(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no attack to show"):
        api.preview(replace(digits_badnets(), attack=None), store=tmp_path)


def test_only_an_attack_that_needs_a_network_starts_the_executor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = []
    monkeypatch.setattr(api, "make_executor", lambda name, backend, placement: started.append(name) or LocalExecutor("numpy"))
    monkeypatch.setattr(api.preview_stage, "run", lambda config, store, executor: b"")
    for needs in (None, "picture", "surrogate", "ssba_encoder"):
        monkeypatch.setattr(Sig, "needs", needs)
        api.preview(replace(digits_badnets(), attack=Sig()), store=tmp_path, executor="ray")
    assert started == ["local", "local", "ray", "ray"]
