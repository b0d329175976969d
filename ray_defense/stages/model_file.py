"""The tensors of a model file that a user gives; no code of the file is ever run.

It is safetensors, or what `torch.save(model.state_dict(), FILE)` writes. A file of torch is a zip
archive with a pickle in it: the pickle is read through once without running it, and only if all
that it names is a part of tensors does torch read it, with `weights_only`.
"""

import io
import os
import pickletools
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from ray_defense.core.errors import InputError
from ray_defense.data.text import encodable, shortened
from ray_defense.decoding.packed_member import ArchiveError, PackedMember
from ray_defense.decoding.zip_members import list_zip, read_zip_member

_MAX_FILE_BYTES = 2**34  # the largest network of torchvision has 2.6 GB
_MAX_PICKLE_BYTES = 2**24  # names and shapes; a network of a thousand layers has less than 1 MB
_NESTED_UNDER = ("state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel, and of torch.compile
_END_OF_ZIP = b"PK\5\6"
_END_BYTES = 22
# What the pickle of a state dict names, beside the types of storages.
_TENSOR_PARTS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}
_STORAGES = {
    "BFloat16Storage",
    "BoolStorage",
    "ByteStorage",
    "CharStorage",
    "DoubleStorage",
    "FloatStorage",
    "HalfStorage",
    "IntStorage",
    "LongStorage",
    "ShortStorage",
}
_REMEDY = (
    "write the weights alone, by safetensors.torch.save_file(model.state_dict(), FILE) or "
    "torch.save(model.state_dict(), FILE)"
)


def read_unchanged(path: str, sha256: str, called: str) -> dict[str, torch.Tensor]:
    """Returns the tensors of a model file that must be what it was.

    Args:
        path: The file.
        sha256: Of the file, as it was.
        called: What errors call it.

    Raises:
        InputError: If it is another one, or no file of weights.
    """
    content = read_model_bytes(path)
    if hash_of_model(content) != sha256:
        raise InputError(f"{called} {_shown(path)} has changed meanwhile: run the command again")
    return tensors_of(content, path)


def read_model_bytes(path: str | Path) -> bytes:
    """Returns the bytes of a model file.

    Raises:
        InputError: If it is no regular file, or cannot be read, or is too large.
    """
    shown = _shown(path)
    try:
        handle = os.open(Path(path).expanduser(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"cannot read the model file {shown}: {error.strerror}") from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise InputError(f"{shown} is no regular file: name a file of weights")
    with open(handle, "rb") as file:
        if status.st_size > _MAX_FILE_BYTES:
            raise InputError(
                f"{shown} has {status.st_size} bytes, more than {_MAX_FILE_BYTES}: {_REMEDY}"
            )
        return file.read(_MAX_FILE_BYTES + 1)


def hash_of_model(content: bytes) -> str:
    """Returns the SHA-256 of the bytes of a model file in hexadecimal."""
    return sha256(content).hexdigest()


def tensors_of(content: bytes, path: str | Path) -> dict[str, torch.Tensor]:
    """Returns the tensors of a model file by name, on the CPU.

    A state dict may stand under the key `state_dict` or `model`, and a prefix `module.` that all
    names have is left out.

    Args:
        content: The bytes of the file.
        path: The file, for messages.

    Raises:
        InputError: If the file holds code or anything but tensors, or is damaged.
    """
    if content.startswith(b"PK"):
        found = _read_torch_file(content, path)
    elif content.startswith(b"\x80") and content[8:9] != b"{":
        raise InputError(
            f"{_shown(path)} is a pickle, which can run any code when it is read: {_REMEDY}"
        )
    else:
        found = _read_safetensors(content, path)
    tensors = {}
    for name, tensor in _state_dict_of(found, path).items():
        _check_tensor(name, tensor, path)
        tensors[name] = tensor.detach()
    return _without_prefix(tensors)


def _shown(path: object) -> str:
    return repr(shortened(encodable(str(path))))


def _read_safetensors(content: bytes, path: str | Path) -> dict[str, torch.Tensor]:
    try:
        found: dict[str, torch.Tensor] = safetensors.torch.load(content)
    # Beside its own error, a type of number that this torch does not have is a KeyError.
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{_shown(path)} is neither a whole safetensors file ({shortened(error, 100)}) nor a "
            f"file of torch: {_REMEDY}"
        ) from None
    return found


def _read_torch_file(content: bytes, path: str | Path) -> Any:
    _check_archive(content, path)
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen unrelated types on damaged bytes
        reason = shortened(str(error).split("\n")[0], 100)
        raise InputError(f"torch cannot read {_shown(path)} ({reason}): {_REMEDY}") from None


def _check_archive(content: bytes, path: str | Path) -> None:
    """Raises InputError unless an archive holds tensors alone, and no more bytes than it has."""
    try:
        # Other bytes after the end could be another archive for torch than for us.
        if content[-_END_BYTES : -_END_BYTES + 4] != _END_OF_ZIP:
            raise ArchiveError("it does not end as archives of torch do")
        members = list_zip(io.BytesIO(content))
        for member in members:
            if member.problem or member.is_deflated or member.size != member.packed_size:
                raise ArchiveError("a member is packed, which torch never does")
        if sum(member.size for member in members) > len(content):
            raise ArchiveError("its members have more bytes than the file")
        pickled = [member for member in members if member.path.endswith(".pkl")]
        for member in pickled:
            _check_pickle(content, member, path)
        if [member.path.rpartition("/")[2] for member in pickled] != ["data.pkl"]:
            raise ArchiveError("it has no data.pkl, or others beside it")
    except ArchiveError as error:
        raise InputError(
            f"{_shown(path)} is no archive of weights ({shortened(error, 100)}): {_REMEDY}"
        ) from None


def _check_pickle(content: bytes, member: PackedMember, path: str | Path) -> None:
    """Raises InputError if the pickle of an archive names anything but parts of tensors."""
    if member.size > _MAX_PICKLE_BYTES:
        raise ArchiveError(f"{member.path} has more than {_MAX_PICKLE_BYTES} bytes")
    pickled = read_zip_member(io.BytesIO(content), member)
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name == "GLOBAL":
                _check_name(str(argument), path)
            elif operation.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
                raise _has_code("something that its pickle looks up by a computed name", path)
    # `pickletools` raises what struct and the decoding of text do.
    except (ValueError, IndexError, OverflowError) as error:
        raise ArchiveError(f"its pickle is damaged: {error}") from None


def _check_name(name: str, path: str | Path) -> None:
    module, _, attribute = name.partition(" ")
    is_storage = module == "torch" and attribute in _STORAGES
    if name not in _TENSOR_PARTS and not is_storage:
        raise _has_code(f"{module}.{attribute}", path)


def _has_code(what: str, path: str | Path) -> InputError:
    return InputError(
        f"{_shown(path)} holds {shortened(encodable(what), 80)!r}, so it is more than weights and "
        f"could run code: {_REMEDY}"
    )


def _state_dict_of(found: Any, path: str | Path) -> Mapping[str, torch.Tensor]:
    if isinstance(found, Mapping):
        for key in _NESTED_UNDER:
            if isinstance(found.get(key), Mapping):
                found = found[key]
                break
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"{_shown(path)} holds no state dict: {_REMEDY}")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            shown = shortened(encodable(str(name)), 80)
            raise InputError(f"{_shown(path)} holds {shown!r}, which is no tensor: {_REMEDY}")
    return found


def _check_tensor(name: str, tensor: torch.Tensor, path: str | Path) -> None:
    """Raises InputError for a tensor that is not a plain one with all its bytes in the file."""
    needed = tensor.numel() * tensor.element_size()
    is_plain = tensor.layout == torch.strided and not tensor.is_quantized
    if not is_plain or tensor.device.type != "cpu" or needed > _MAX_FILE_BYTES:
        shown = shortened(encodable(name), 80)
        raise InputError(f"{_shown(path)}: {shown!r} is no plain tensor: {_REMEDY}")


def _without_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors
