"""Model files of users: tensors come out, code never runs, and what is hostile is refused."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from ray_defense.core.errors import InputError
from ray_defense.stages.model_file import read_model_bytes, tensors_of

TENSORS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7)}


def saved(value: Any, **options: Any) -> bytes:
    """Returns what `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in TENSORS.items()}


FORMS: dict[str, Callable[[], bytes]] = {
    "safetensors": lambda: safetensors.torch.save(TENSORS),
    "state dict": lambda: saved(OrderedDict(TENSORS)),
    "under state_dict, beside other things": lambda: saved(
        {"epoch": 3, "state_dict": TENSORS, "optimizer": {"lr": 0.1, "betas": (0.9, 0.99)}}
    ),
    "under model": lambda: saved({"model": TENSORS}),
    "of DataParallel": lambda: saved(prefixed("module.")),
    "of a compiled model in DataParallel": lambda: saved(prefixed("module._orig_mod.")),
    "of parameters": lambda: saved(
        {**TENSORS, "conv.weight": torch.nn.Parameter(TENSORS["conv.weight"])}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_tensors_of_every_form_are_those_that_were_saved(form: str) -> None:
    found = tensors_of(FORMS[form](), "model.pt")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(found[name], tensor)
        assert not found[name].requires_grad


class Payload:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch hacked",)


def rewritten(data: bytes, change: Callable[[str, bytes], bytes], **options: Any) -> bytes:
    """Returns an archive of torch with changed members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", **options) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return buffer.getvalue()


def with_huge_shape() -> bytes:
    """Returns weights of one number whose pickle claims 2^33 of them."""
    data = saved({"a": torch.zeros(1).expand(2**33)})
    return rewritten(data, lambda name, old: old.replace(b"K\x00\x85", b"K\x01\x85"))


def scripted() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def keep(name: str, old: bytes) -> bytes:
    return old


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a whole model": (lambda: saved(torch.nn.Linear(2, 2)), "could run code"),
    "a payload in a state dict": (lambda: saved({"a": Payload()}), "could run code"),
    "a pickle of a payload": (lambda: pickle.dumps(Payload()), "is a pickle"),
    "the old form of torch": (
        lambda: saved(TENSORS, _use_new_zipfile_serialization=False),
        "is a pickle",
    ),
    "names looked up by other names": (
        lambda: saved({"a": Payload()}, pickle_protocol=4),
        "by a computed name",
    ),
    "a script": (scripted, "is no archive of weights"),
    "packed members": (
        lambda: rewritten(saved(TENSORS), keep, compression=zipfile.ZIP_DEFLATED),
        "a member is packed",
    ),
    "bytes after the end": (lambda: saved(TENSORS) + b"PK", "does not end as archives"),
    "a cut archive": (lambda: saved(TENSORS)[:-40], "does not end as archives"),
    "a damaged pickle": (
        lambda: rewritten(saved(TENSORS), lambda name, old: old[: len(old) // 2]),
        "its pickle is damaged|torch cannot read",
    ),
    "a shape of more bytes than it has": (with_huge_shape, "torch cannot read"),
    "a number for a tensor": (lambda: saved({"a": 3}), "is no tensor"),
    "sparse tensors": (lambda: saved({"a": torch.eye(2).to_sparse()}), "could run code"),
    "nothing": (lambda: saved({}), "holds no state dict"),
    "no bytes": (lambda: b"", "is neither a whole safetensors file"),
    "text": (lambda: b"weights, honestly " * 9, "is neither a whole safetensors file"),
    "cut safetensors": (
        lambda: safetensors.torch.save(TENSORS)[:-4],
        "is neither a whole safetensors file",
    ),
}


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_file_of_weights_is_refused_in_one_line_and_nothing_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, message = HOSTILE[name]
    with pytest.raises(InputError, match=message) as caught:
        tensors_of(make(), "odd\nname.pt")
    assert "\n" not in str(caught.value)
    assert "torch.save(model.state_dict(), FILE)" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_folder_a_pipe_and_a_missing_file_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "no regular file"), ("", "no regular file"), ("x", "cannot")):
        with pytest.raises(InputError, match=message):
            read_model_bytes(tmp_path / name)
