"""SSBA encoders of 15 bits: small networks, and a training of seconds."""

from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.seeded import build_seeded
from ray_defense.models.steganography import Steganography
from ray_defense.models.steganography_networks import SteganographyPair
from ray_defense.stages.attacker.ssba_encoder import SsbaEncoderConfig

SMALL = Steganography(num_bits=15, encoder_width=8, decoder_width=16)
TINY = SsbaEncoderConfig(
    SMALL,
    epochs=6,
    batch_size=32,
    learning_rate=3e-3,
    workers=WorkerGroup(cpus_per_worker=1),
)


def build_pair(seed: int = 0) -> SteganographyPair:
    """Returns untrained networks."""
    return build_seeded(SMALL.build, seed)
