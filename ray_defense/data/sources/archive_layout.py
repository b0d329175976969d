"""Which members of an archive are samples, of which split and with which label, by their paths.

An archive holds class folders as `ImageFolder` reads them, in any number of enclosing folders, or
pairs `key.jpg` and `key.cls` as WebDataset writes them. Samples keep the order of the archive, so
that one that is compressed as a whole is read once from the front to the back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ray_defense.core.errors import InputError
from ray_defense.data.sources.junk import is_junk
from ray_defense.data.text import encodable, shortened
from ray_defense.decoding.packed_member import PackedMember

LABEL_ENDING = ".cls"
_IMAGE_ENDINGS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg", ".jxl"),
    *(".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
_TRAIN_WORDS = ("train", "training")
_TEST_WORDS = (("test", "testing"), ("validation", "valid", "val"))


@dataclass(frozen=True, slots=True)
class PlacedMember:
    """A member that is a sample."""

    member: PackedMember
    class_text: str  # the name of its class as given; "" if there is none


@dataclass(frozen=True)
class ArchiveLayout:
    """The samples of an archive."""

    train: list[PlacedMember]
    test: list[PlacedMember]
    are_numbers: bool  # whether classes may be numbers, as in WebDataset
    left_out: tuple[str, ...]  # sentences on members that are no samples


def lay_out_members(
    members: Sequence[PackedMember], class_texts: Mapping[str, str], origin: str
) -> ArchiveLayout:
    """Returns which members are samples.

    Args:
        members: All files of an archive in its order.
        class_texts: What the members that end in `.cls` hold, by their paths.
        origin: The archive, for messages.

    Raises:
        InputError: If the archive has neither class folders nor labels, or names no training set.
    """
    kept = [member for member in members if not any(map(is_junk, _parts(member.path)))]
    if any(member.path.lower().endswith(LABEL_ENDING) for member in kept):
        layout = _pairs(kept, class_texts)
    else:
        layout = _class_folders(kept, origin)
    left_out = list(layout.left_out)
    if len(kept) < len(members):
        left_out.append(
            f"{len(members) - len(kept)} members of {origin} are files of tools, such as .DS_Store."
        )
    return ArchiveLayout(layout.train, layout.test, layout.are_numbers, tuple(left_out))


def _pairs(members: Sequence[PackedMember], class_texts: Mapping[str, str]) -> ArchiveLayout:
    text_of = {}
    for path, text in class_texts.items():
        text_of[path[: -len(LABEL_ENDING)]] = text
    train = []
    num_others = 0
    for member in members:
        folder, slash, name = member.path.rpartition("/")
        key, _, ending = name.partition(".")
        if f".{ending.lower()}" in _IMAGE_ENDINGS:
            train.append(PlacedMember(member, text_of.get(f"{folder}{slash}{key}", "")))
        elif ending.lower() != LABEL_ENDING[1:]:
            num_others += 1
    left_out = (f"{num_others} members are neither images nor labels.",) if num_others else ()
    return ArchiveLayout(train, [], are_numbers=True, left_out=left_out)


def _class_folders(members: Sequence[PackedMember], origin: str) -> ArchiveLayout:
    folders_of = [_parts(member.path)[:-1] for member in members]
    of_images = []
    for member, folders in zip(members, folders_of, strict=True):
        if member.path.lower().endswith(_IMAGE_ENDINGS) and not member.problem:
            of_images.append(folders)
    num_common = _num_common(of_images)
    depth, test_words = _split_depth(of_images, num_common, origin)
    placed: dict[str, list[PlacedMember]] = {"train": [], "test": []}
    num_others = 0
    for member, folders in zip(members, folders_of, strict=True):
        split = "train"
        if depth > num_common:
            word = folders[num_common].lower() if len(folders) > num_common else ""
            split = "train" if word in _TRAIN_WORDS else ""
            if word in test_words:
                split = "test"
        if split and len(folders) > depth and folders[:num_common] == of_images[0][:num_common]:
            placed[split].append(PlacedMember(member, folders[depth]))
        else:
            num_others += 1
    left_out = (
        (f"{num_others} members of {origin} lie in no class folder of these splits.",)
        if num_others
        else ()
    )
    return ArchiveLayout(placed["train"], placed["test"], are_numbers=False, left_out=left_out)


def _num_common(folders: Sequence[Sequence[str]]) -> int:
    """Returns how many outer folders all images share."""
    num_common = 0
    while folders:
        names = {path[num_common] if len(path) > num_common else "" for path in folders}
        if len(names) != 1 or "" in names:
            break
        num_common += 1
    return num_common


def _split_depth(
    folders: Sequence[Sequence[str]], num_common: int, origin: str
) -> tuple[int, tuple[str, ...]]:
    """Returns the depth of the class folders, and the words of the test split if there are splits.

    Raises:
        InputError: If there are no class folders, or splits without a training set.
    """
    first = {path[num_common] for path in folders if len(path) > num_common}
    if not first:
        raise InputError(
            f"{origin} has no class folders of images and no labels ({LABEL_ENDING}): pack one "
            "folder of images for every class"
        )
    words = {name.lower() for name in first}
    known = {*_TRAIN_WORDS, *_TEST_WORDS[0], *_TEST_WORDS[1]}
    is_deep = all(len(path) > num_common + 1 for path in folders if len(path) > num_common)
    if not words & known or not is_deep:
        return num_common, ()
    if not words & set(_TRAIN_WORDS) or not words <= known:
        shown = ", ".join(repr(shortened(encodable(name), 40)) for name in sorted(first)[:5])
        raise InputError(
            f"{origin} has the folders {shown}: pack train/ and test/ with class folders, and "
            "nothing beside them"
        )
    for test_words in _TEST_WORDS:
        if words & set(test_words):
            return num_common + 1, test_words
    return num_common + 1, ()


def _parts(path: str) -> list[str]:
    """Returns the parts of a path that name something."""
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
