"""The bare loop: the network, the batch and the optimizer of a stage, and nothing else.

Its batch lies on the device, normalized. It reads no data, augments nothing and keeps no
checkpoint. Its loss is the cheapest one that gives every trained weight a gradient.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.projected_features import ProjectedFeatures
from ray_defense.models.protocol import Model
from ray_defense.models.seeded import build_model, build_seeded
from ray_defense.training.loop import autocast, take_step, to_device
from ray_defense.training.settings import Sgd

Learns = Literal["all", "features", "projection", "classifier", "nothing"]


@dataclass(frozen=True)
class BarePass:
    """One pass over some images, a batch at a time; the last one may be smaller."""

    num_images: int  # views count as images
    batch_size: int
    learns: Learns = "all"  # which weights, from what; "nothing": forward alone, in eval mode
    half_precision: bool = True  # on a GPU, bfloat16 as the training stages; else as scoring


@dataclass(frozen=True)
class BareSetting:
    """The network of a stage, its images and its optimizer."""

    model: Model
    num_classes: int
    size: int  # pixels, of a side
    sgd: Sgd
    device: torch.device


class BareLoop:
    """Runs passes with a network of its own."""

    def __init__(self, setting: BareSetting, passes: Sequence[BarePass]):
        device = setting.device
        self.device = device
        self.passes = tuple(passes)
        generator = torch.Generator().manual_seed(0)
        largest = max(of_pass.batch_size for of_pass in self.passes)
        images_BCHW = torch.randn(largest, 3, setting.size, setting.size, generator=generator)
        self.images_BCHW = images_BCHW.to(device, memory_format=torch.channels_last)
        labels_B = torch.randint(setting.num_classes, (largest,), generator=generator)
        self.labels_B = labels_B.to(device)
        self.model = to_device(build_model(setting.model, setting.num_classes, 0), device)
        projecting = build_seeded(lambda: ProjectedFeatures(self.model, 128), 0)
        self.projecting = to_device(projecting, device)
        self.optimizers: dict[Learns, torch.optim.Optimizer] = {
            "all": setting.sgd.build(self.model.parameters()),
            "features": setting.sgd.build(self.model.parameters()),
            "projection": setting.sgd.build(self.projecting.parameters()),
            "classifier": setting.sgd.build(self.model.classifier.parameters()),
        }
        self._losses: dict[Learns, Callable[[int], torch.Tensor]] = {
            "all": self._loss_of_logits,
            "features": self._loss_of_features,
            "projection": self._loss_of_projection,
            "classifier": self._loss_of_classifier,
        }

    def seconds(self) -> float:
        """Runs all passes and returns how long they took, to the end of what they queued."""
        synchronize(self.device)
        start = time.perf_counter()
        for of_pass in self.passes:
            self._run(of_pass)
        synchronize(self.device)
        return time.perf_counter() - start

    def _run(self, of_pass: BarePass) -> None:
        is_trained = of_pass.learns not in ("nothing", "classifier")
        self.projecting.train(is_trained)  # the model is a part of it
        for low in range(0, of_pass.num_images, of_pass.batch_size):
            count = min(of_pass.batch_size, of_pass.num_images - low)
            if of_pass.learns == "nothing":
                self._forward(count, of_pass.half_precision)
            else:
                loss = self._losses[of_pass.learns](count)
                take_step(loss, self.optimizers[of_pass.learns])

    @torch.no_grad()
    def _forward(self, count: int, half_precision: bool) -> None:
        if not half_precision:
            self.model(self.images_BCHW[:count])
            return
        with autocast(self.device):
            self.model(self.images_BCHW[:count])

    def _loss_of_logits(self, count: int) -> torch.Tensor:
        with autocast(self.device):
            _, logits_BN = self.model(self.images_BCHW[:count])
        return cross_entropy(logits_BN.float(), self.labels_B[:count])

    def _loss_of_features(self, count: int) -> torch.Tensor:
        with autocast(self.device):
            features_BD, _ = self.model(self.images_BCHW[:count])
        return features_BD.float().square().mean()

    def _loss_of_projection(self, count: int) -> torch.Tensor:
        with autocast(self.device):
            z_BD = self.projecting(self.images_BCHW[:count])
        return z_BD.float().mean()

    def _loss_of_classifier(self, count: int) -> torch.Tensor:
        with torch.no_grad(), autocast(self.device):
            features_BD, _ = self.model(self.images_BCHW[:count])
        logits_BN = self.model.classifier(features_BD.float())
        return cross_entropy(logits_BN, self.labels_B[:count])


def synchronize(device: torch.device) -> None:
    """Waits until a GPU has done what was queued; a CPU is done already."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
