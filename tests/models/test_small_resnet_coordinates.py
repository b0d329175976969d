"""The network that sees where a pixel is tells the left from the right, which others cannot."""

import torch

from ray_defense.models.add_coordinates import AddCoordinates
from ray_defense.models.residual_blocks import RecordedBlocks
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet_coordinates import SmallResNetCoordinates
from tests.support.model_inputs import normal_images


def test_the_added_channels_are_rows_and_columns_from_minus_one_to_one() -> None:
    images = normal_images(2)
    joined = AddCoordinates()(images)
    side = images.shape[2]
    assert torch.equal(joined[:, :3], images)
    for row in range(side):
        for column in range(side):
            expected_row = -1 + 2 * row / (side - 1)
            expected_column = -1 + 2 * column / (side - 1)
            found = joined[1, 3:, row, column].tolist()
            assert abs(found[0] - expected_row) < 1e-6
            assert abs(found[1] - expected_column) < 1e-6


def test_the_recorded_blocks_are_the_means_of_their_outputs_and_end_in_the_features() -> None:
    model = build_model(SmallResNetCoordinates(width=8), 2, seed=0).eval()
    with torch.no_grad(), RecordedBlocks(model) as recorded:
        features, _ = model(normal_images(3))
    assert [tuple(block.shape) for block in recorded.pooled] == [(3, 8), (3, 16), (3, 32)]
    torch.testing.assert_close(recorded.pooled[-1], features)
    with torch.no_grad():
        model(normal_images(3))
    assert len(recorded.pooled) == 3  # nothing is recorded outside of the context
