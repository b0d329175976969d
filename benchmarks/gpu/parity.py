"""What a GPU computes beside what the CPU computes, check by check.

A check gives one number and the bound that it must keep. Run on the CPU itself, nearly all
differences are 0.

Shapes: B samples, N classes, D features.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ray_defense.core.on_device import exact_convolutions, upload
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.pixel_noise import add_noise
from ray_defense.detectors.required_models import Probe, RequiredModel
from ray_defense.detectors.sample_batch import OpenedModel, SampleBatch
from ray_defense.losses.class_centers import class_center_similarity
from ray_defense.losses.contrastive import semi_supervised_contrastive
from ray_defense.losses.cross_entropy import (
    cross_entropy,
    cross_entropy_to_uniform,
    mixed_cross_entropy,
    unlearning,
)
from ray_defense.losses.similarity import structural_similarity
from ray_defense.models import MODELS
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.seeded import build_model
from ray_defense.training.loop import autocast, take_step, to_device
from ray_defense.training.normalization import NORMALIZATIONS
from ray_defense.training.settings import Sgd
from ray_defense.training.views import make_view, to_float
from ray_defense.transforms import AUGMENTATIONS, TRANSFORMS

CPU = torch.device("cpu")
NUM_CLASSES = 10
_BATCH = 64
_SIZE = 32
_REPEATED_STEPS = 5


@dataclass(frozen=True)
class Parity:
    """What a check found."""

    value: float
    bound: float
    larger_is_better: bool = False  # the value must not be under the bound; else not above it

    @property
    def holds(self) -> bool:
        """Whether the value keeps its bound."""
        if self.larger_is_better:
            return self.value >= self.bound
        return self.value <= self.bound


Check = Callable[[torch.device], Parity]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(seed: int = 0, count: int = _BATCH) -> torch.Tensor:
    """Returns uint8 [B, H, W, 3] with smooth surfaces, so that a nearest pixel is no matter."""
    coarse = torch.rand(count, 3, 4, 4, generator=_generator(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=(_SIZE, _SIZE), mode="bilinear")
    return (255 * smooth).byte().permute(0, 2, 3, 1).contiguous()


def _labels(seed: int = 1) -> torch.Tensor:
    return torch.randint(NUM_CLASSES, (_BATCH,), generator=_generator(seed))


def _check_view(name: str, device: torch.device) -> Parity:
    """The share of values of a normalized view that differ by more than 1e-3."""
    transform = {**TRANSFORMS, **AUGMENTATIONS}[name]()
    views = []
    for where in (CPU, device):
        view = make_view(
            _images().to(where),
            np.arange(_BATCH),
            7,
            transforms=(transform,),
            normalization=NORMALIZATIONS["cifar10"],
        )
        views.append(view.cpu())
    differs = (views[0] - views[1]).abs() > 1e-3
    return Parity(differs.float().mean().item(), 0.002)  # a tie may fall to either pixel


def _check_noise(device: torch.device) -> Parity:
    """The largest difference of images with noise."""
    noisy = []
    for where in (CPU, device):
        noisy.append(add_noise(to_float(_images().to(where)), 0.1, 7, np.arange(_BATCH)).cpu())
    return Parity((noisy[0] - noisy[1]).abs().max().item(), 1e-6)


def _check_upload(device: torch.device) -> Parity:
    """How many values of some arrays differ after they were uploaded."""
    num_different = 0
    for array in (np.arange(1000), np.linspace(0, 1, 999), np.arange(7) > 3, np.zeros((4, 0))):
        num_different += int((upload(array, device).cpu().numpy() != array).sum())
    return Parity(num_different, 0)


def _features(device: torch.device, shape: tuple[int, ...]) -> torch.Tensor:
    values = torch.randn(*shape, generator=_generator(3)).to(device)
    return values.requires_grad_()


def _class_centers(device: torch.device, inputs: torch.Tensor) -> torch.Tensor:
    return class_center_similarity(inputs, _labels().to(device), NUM_CLASSES)


def _contrastive(device: torch.device, inputs: torch.Tensor) -> torch.Tensor:
    z_BVD = torch.nn.functional.normalize(inputs.view(_BATCH, 2, -1), dim=2)
    trusted_B = (torch.arange(_BATCH) % 3 == 0).to(device)
    return semi_supervised_contrastive(z_BVD, _labels().to(device), trusted_B, temperature=0.1)


def _mixed(device: torch.device, inputs: torch.Tensor) -> torch.Tensor:
    trusted_B = (torch.arange(_BATCH) % 3 == 0).to(device)
    return mixed_cross_entropy(
        inputs, _labels().to(device), trusted_B, ~trusted_B, flagged_weight=0.1
    )


def _plain(device: torch.device, inputs: torch.Tensor) -> torch.Tensor:
    return cross_entropy(inputs, _labels().to(device))


def _unlearned(device: torch.device, inputs: torch.Tensor) -> torch.Tensor:
    return unlearning(inputs, _labels().to(device))


def _uniform(device: torch.device, inputs: torch.Tensor) -> torch.Tensor:
    return cross_entropy_to_uniform(inputs, _labels().to(device))


def _similarity(device: torch.device, inputs: torch.Tensor) -> torch.Tensor:
    images_BCHW = to_float(_images().to(device))
    changed_BCHW = (images_BCHW + 0.05 * inputs.view(images_BCHW.shape)).clamp(0, 1)
    return structural_similarity(changed_BCHW, images_BCHW).mean()


LossOf = Callable[[torch.device, torch.Tensor], torch.Tensor]
LOSSES: dict[str, tuple[LossOf, tuple[int, ...]]] = {
    "class_centers": (_class_centers, (_BATCH, 512)),
    "contrastive": (_contrastive, (_BATCH, 256)),
    "mixed_cross_entropy": (_mixed, (_BATCH, NUM_CLASSES)),
    "cross_entropy": (_plain, (_BATCH, NUM_CLASSES)),
    "unlearning": (_unlearned, (_BATCH, NUM_CLASSES)),
    "cross_entropy_to_uniform": (_uniform, (_BATCH, NUM_CLASSES)),
    "structural_similarity": (_similarity, (_BATCH, 3 * _SIZE * _SIZE)),
}


def _check_loss(name: str, device: torch.device) -> Parity:
    """The relative difference of a loss's gradient."""
    function, shape = LOSSES[name]
    gradients = []
    for where in (CPU, device):
        inputs = _features(where, shape)
        (gradient,) = torch.autograd.grad(function(where, inputs), inputs)
        gradients.append(gradient.double().cpu())
    return Parity(_relative_difference(gradients[1], gradients[0]), 1e-3)


def _relative_difference(values: torch.Tensor, reference: torch.Tensor) -> float:
    return ((values - reference).norm() / reference.norm().clamp(min=1e-30)).item()


def _trained(name: str, device: torch.device, *, as_product: bool, num_steps: int) -> torch.Tensor:
    """Returns the weights of a network after some steps, float64 on the CPU, in one row."""
    model: FeatureClassifier = to_device(build_model(MODELS[name](), NUM_CLASSES, 0), device)
    optimizer = Sgd(0.01).build(model.parameters())
    normalization = NORMALIZATIONS["cifar10"]
    model.train()
    for step in range(num_steps):
        images_BCHW = normalization.apply(to_float(_images(step).to(device)))
        with autocast(device) if as_product else contextlib.nullcontext():
            _, logits_BN = model(images_BCHW)
        take_step(cross_entropy(logits_BN.float(), _labels(step).to(device)), optimizer)
    flat = [parameter.detach().double().cpu().flatten() for parameter in model.parameters()]
    return torch.cat(flat)


def _check_step(name: str, device: torch.device, *, as_product: bool) -> Parity:
    """The relative difference of what one training step changes."""
    before = _trained(name, CPU, as_product=False, num_steps=0)
    on_cpu = _trained(name, CPU, as_product=False, num_steps=1) - before
    with contextlib.nullcontext() if as_product else exact_convolutions():
        on_device = _trained(name, device, as_product=as_product, num_steps=1) - before
    return Parity(_relative_difference(on_device, on_cpu), 0.3 if as_product else 0.01)


def _check_repeated(name: str, deterministic: bool, device: torch.device) -> Parity:
    """The share of weights that differ if the same steps are trained twice."""
    with torch.backends.cudnn.flags(enabled=True, deterministic=deterministic, allow_tf32=True):
        first = _trained(name, device, as_product=True, num_steps=_REPEATED_STEPS)
        second = _trained(name, device, as_product=True, num_steps=_REPEATED_STEPS)
    differ = (first != second).double().mean().item()
    return Parity(differ, 0.0 if deterministic else 1.0)


def _scores(name: str, device: torch.device) -> np.ndarray:
    network = to_device(build_model(MODELS[name](), NUM_CLASSES, 0), device).eval()
    opened: dict[RequiredModel, OpenedModel] = {Probe(): OpenedModel([network])}
    batch = SampleBatch(
        images_BCHW=to_float(_images(count=4 * _BATCH).to(device)),
        labels_B=torch.zeros(4 * _BATCH, dtype=torch.int64, device=device),
        index_B=np.arange(4 * _BATCH),
        seed=0,
        normalization=NORMALIZATIONS["cifar10"],
        models=opened,
    )
    scores_B: np.ndarray = Fct(draws=2).read(batch)["fct"]
    return scores_B


def _check_score_ranks(name: str, device: torch.device) -> Parity:
    """The rank correlation of FCT scores."""
    ranks = [np.argsort(np.argsort(_scores(name, where))) for where in (CPU, device)]
    correlation = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    return Parity(correlation, 0.999, larger_is_better=True)


def _check_score_values(name: str, device: torch.device) -> Parity:
    """The largest difference of FCT scores, as a share of their median."""
    on_cpu = _scores(name, CPU)
    largest = np.abs(_scores(name, device) - on_cpu).max() / np.median(on_cpu)
    return Parity(float(largest), 0.05)


def parity_checks(networks: Sequence[str]) -> dict[str, Check]:
    """Returns the checks by name.

    Args:
        networks: Take a training step; the last one also scores, and is trained twice.
    """
    checks: dict[str, Check] = {"upload": _check_upload, "noise": _check_noise}
    for name in {**TRANSFORMS, **AUGMENTATIONS}:
        checks[f"view {name}"] = partial(_check_view, name)
    for name in LOSSES:
        checks[f"gradient of {name}"] = partial(_check_loss, name)
    last = networks[-1]
    checks["fct, rank correlation"] = partial(_check_score_ranks, last)
    checks["fct, largest difference"] = partial(_check_score_values, last)
    for name in networks:
        checks[f"step of {name}, float32"] = partial(_check_step, name, as_product=False)
        checks[f"step of {name}, bfloat16"] = partial(_check_step, name, as_product=True)
    checks["training repeated, cuDNN as it is"] = partial(_check_repeated, last, False)
    checks["training repeated, cuDNN deterministic"] = partial(_check_repeated, last, True)
    return checks
