"""The preview of an attack: real pixels of samples that may be poisoned, the same at every call."""

import io
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ray_defense import api
from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.blend_picture import BlendPicture
from ray_defense.attacks.label_consistent import LabelConsistent
from ray_defense.attacks.protocol import Attack
from ray_defense.attacks.sig import Sig
from ray_defense.attacks.ssba import Ssba
from ray_defense.attacks.targets import AllToOne
from ray_defense.attacks.trojan import Trojan
from ray_defense.cli.main import main
from ray_defense.core.errors import InputError, RunError
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.parquet import Parquet
from ray_defense.execution.local import LocalExecutor
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes.digits import digits_badnets
from ray_defense.reports import contact_sheet
from ray_defense.reports.contact_sheet import NUM_COLUMNS, ContactSheet
from ray_defense.stages.attacker.prepared_attack import eligible_samples
from ray_defense.store.artifacts import Store
from ray_defense.studies.attack_preview import NUM_IMAGES, draw_samples, preview_attack
from tests.support.contact_sheets import open_pixels, tile_pixels


def preview_locally(recipe: Recipe, folder: Path) -> bytes:
    return preview_attack(recipe, Store(folder), LocalExecutor("numpy"))


def sheet_of_samples(source: Digits, index: np.ndarray, images: np.ndarray) -> ContactSheet:
    """Returns a sheet with the tiles of a preview, but not its pixels."""
    labels = source.labels("train")[index]
    return ContactSheet(
        title="",
        subtitle="",
        index=index,
        labels=labels,
        poisoned_labels=labels,
        class_names=source.info().class_names,
        clean=images,
        stamped={"train": images, "test": images},
    )


def test_badnets_changes_the_corner_of_eligible_images_of_the_source_and_nothing_else(
    tmp_path: Path,
):
    output = tmp_path / "preview.png"
    arguments = ["attacks", "preview", "badnets", "--executor", "local", "--backend", "numpy"]
    arguments += ["--store", str(tmp_path / "store"), "--output", str(output)]
    arguments += ["--set", "attack.target.label=3"]
    assert main(arguments) == 0
    source = Digits()
    candidates = np.flatnonzero(source.labels("train") != 3)
    index, images, labels = draw_samples(source, candidates, 0)
    assert len(index) == NUM_IMAGES
    assert 3 not in labels
    pixels = open_pixels(output.read_bytes())
    sheet = sheet_of_samples(source, index, images)
    for column, position in enumerate(index.tolist()):
        clean = source.read("train", position, position + 1).images[0]
        assert np.array_equal(tile_pixels(pixels, sheet, 0, column), clean)
        for row in (2, 4):
            difference = tile_pixels(pixels, sheet, row, column)
            assert difference[-3:, -3:].any()
            assert not difference[:-3].any()
            assert not difference[:, :-3].any()


def test_the_images_of_a_preview_fill_a_row_of_the_sheet():
    assert NUM_IMAGES == NUM_COLUMNS


@pytest.mark.parametrize("attack", [BadNets(), Sig()], ids=lambda attack: attack.name)
def test_samples_are_eligible_distinct_in_order_and_a_function_of_the_seed(attack: Attack):
    source = Digits()
    candidates = np.flatnonzero(eligible_samples(attack, source))
    index, _, labels = draw_samples(source, candidates, 0)
    assert np.array_equal(labels, source.labels("train")[index])
    assert attack.target.eligible(labels).all()
    assert (np.diff(index) > 0).all()
    assert len(index) == NUM_IMAGES
    again, _, _ = draw_samples(source, candidates, 0)
    assert np.array_equal(again, index)
    of_other_seed, _, _ = draw_samples(source, candidates, 1)
    assert not np.array_equal(of_other_seed, index)


@pytest.fixture
def small_source(tmp_path: Path) -> Parquet:
    """Five samples of two classes: one does not decode, one has a label that is none."""
    images = []
    for value in range(5):
        buffer = io.BytesIO()
        Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(buffer, "PNG")
        images.append(buffer.getvalue())
    images[2] = b"no image"
    file = tmp_path / "small.parquet"
    pq.write_table(pa.table({"image": images, "label": [0, 1, 1, 9, 1]}), file)
    return Parquet(str(file), size=16, num_classes=2)


def test_what_does_not_decode_or_has_no_class_is_passed_over(small_source: Parquet):
    eligible = eligible_samples(BadNets(), small_source)
    assert eligible.tolist() == [False, True, True, False, True]
    index, images, labels = draw_samples(small_source, np.flatnonzero(eligible), 0)
    assert index.tolist() == [1, 4]
    assert labels.tolist() == [1, 1]
    assert images[:, 0, 0, 0].tolist() == [1, 4]


def test_a_source_with_no_sample_to_poison_is_refused(small_source: Parquet, tmp_path: Path):
    recipe = replace(digits_badnets(), source=replace(small_source, num_classes=1))
    with pytest.raises(InputError, match="none of the 0 training samples"):
        api.preview_attack(recipe, store=tmp_path / "store")


@dataclass(frozen=True)
class PhaseShowing(BadNets):
    """BadNets that shows in its pixels the phase it was asked for."""

    target: AllToOne = AllToOne(cover_ratio=1.0)

    def stamp(
        self, images_NHWC: np.ndarray, index: np.ndarray, phase: str = "train", asset: Any = None
    ) -> np.ndarray:
        return np.full_like(images_NHWC, {"train": 1, "cover": 2, "test": 3}[phase])


@pytest.mark.parametrize(
    ("cover_ratio", "levels", "num_rows"),
    [(1.0, {"train": 1, "cover": 2, "test": 3}, 7), (0.0, {"train": 1, "test": 3}, 5)],
)
def test_each_phase_has_its_rows_and_cover_only_where_there_are_cover_samples(
    cover_ratio: float,
    levels: dict[str, int],
    num_rows: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    sheets: list[ContactSheet] = []

    def keep_sheet(sheet: ContactSheet) -> bytes:
        sheets.append(sheet)
        return b""

    monkeypatch.setattr(contact_sheet, "draw_contact_sheet", keep_sheet)
    attack = PhaseShowing(target=AllToOne(cover_ratio=cover_ratio))
    preview_locally(replace(digits_badnets(), attack=attack), tmp_path)
    (sheet,) = sheets
    assert list(sheet.stamped) == list(levels)
    for phase, images in sheet.stamped.items():
        assert (images == levels[phase]).all()
    assert len(sheet.rows()) == num_rows


def test_a_recipe_without_an_attack_has_no_preview(tmp_path: Path):
    with pytest.raises(InputError, match="no attack to show"):
        api.preview_attack(replace(digits_badnets(), attack=None), store=tmp_path)


def test_the_asset_that_an_attack_needs_is_made_in_the_store_and_found_there_again(tmp_path: Path):
    recipe = replace(digits_badnets(), attack=BlendPicture())
    first = preview_locally(recipe, tmp_path)
    assert len(list(tmp_path.glob("picture/*/pixels.npy"))) == 1
    assert preview_locally(recipe, tmp_path) == first


@pytest.mark.parametrize(
    ("attack", "started"),
    [
        (BadNets(), []),
        (BlendPicture(), []),
        (LabelConsistent(), ["ray"]),
        (Trojan(), ["ray"]),
        (Ssba(), ["ray"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_only_an_attack_that_needs_a_network_starts_the_executor(
    attack: Attack, started: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    names = []

    def record_start(name: str, *where: Any) -> LocalExecutor:
        names.append(name)
        raise RunError("started")

    monkeypatch.setattr(api, "make_executor", record_start)
    expected_error = pytest.raises(RunError, match="started") if started else nullcontext()
    with expected_error:
        recipe = replace(digits_badnets(), attack=attack)
        api.preview_attack(recipe, store=tmp_path, executor="ray")
    assert names == started
