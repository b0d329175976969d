"""Labels as a file gives them, numbers or names, and the classes that they stand for."""

import re
from dataclasses import dataclass

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_CLASS_NAMES_BYTES, MAX_CLASSES
from ray_defense.data.text import class_name, encodable, shortened

_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?$")
_NUM_SHOWN = 6  # classes that a sentence names


@dataclass(frozen=True, eq=False)
class GivenLabels:
    """The labels of a split as they are given."""

    numbers: np.ndarray  # int64 [N]: labels, or positions in `texts`; -1 for a missing one
    texts: tuple[str, ...] | None = None  # the different names; None: the labels are numbers


@dataclass(frozen=True)
class ClassMapping:
    """The classes of a source, and which given label stands for which of them.

    Attributes:
        class_names: The names in label order.
        values: The given number, or name, of each class; None: a number is its own label.
    """

    class_names: tuple[str, ...]
    values: tuple[int, ...] | tuple[str, ...] | None = None

    def labels_of(self, given: GivenLabels) -> np.ndarray:
        """Returns int64 [N]; a given label that stands for no class becomes -1."""
        if self.values is None:
            if given.texts is None:
                return given.numbers
            return np.full(len(given.numbers), -1, np.int64)
        label_of = {value: label for label, value in enumerate(self.values)}
        if given.texts is None:
            numbers, inverse = np.unique(given.numbers, return_inverse=True)
            labels = [label_of.get(number, -1) for number in numbers.tolist()]
            return np.take(np.array(labels, np.int64), inverse.reshape(-1))
        # The last one stands for a missing name, which has the position -1.
        labels = [label_of.get(text, -1) for text in given.texts]
        return np.take(np.array([*labels, -1], np.int64), given.numbers)

    def sentences(self) -> tuple[str, ...]:
        """Returns what a user should hear of the mapping."""
        if self.values is None or not self.values:
            return ()
        kind = "name" if isinstance(self.values[0], str) else "number"
        shown = [f"{name!r} is {label}" for label, name in enumerate(self.class_names)]
        text = ", ".join(shown[:_NUM_SHOWN])
        if len(shown) > _NUM_SHOWN:
            text += f" and so on, {len(shown)} in all"
        return (f"The classes are the labels of the training set by {kind}: {text}.",)


def map_labels(
    given: GivenLabels, class_names: tuple[str, ...], num_classes: int | None, *, origin: str
) -> ClassMapping:
    """Returns the classes of a training split.

    Names are classes in natural order (`10` after `9`). Numbers are their own labels where the
    classes are known or one of the numbers is 0; else the different numbers are the classes.

    Args:
        given: The labels of the training split.
        class_names: The names of the classes where the data tell them, or ().
        num_classes: The number of classes where the user sets it.
        origin: Where the labels come from, for messages.

    Raises:
        InputError: If no number of classes follows from the labels, or too many do.
    """
    if given.texts is not None:
        values = tuple(sorted(given.texts, key=natural_key))
        if num_classes not in (None, len(values)):
            raise InputError(
                f"{origin} has {len(values)} different labels, and num_classes is {num_classes}: "
                "leave num_classes out"
            )
        return ClassMapping(tuple(class_name(value) for value in values), values)
    known = num_classes or len(class_names)
    if known:
        return known_classes(class_names, known)
    numbers = np.unique(given.numbers[given.numbers >= 0])
    largest = int(numbers.max(initial=-1))
    if largest >= 1 and numbers[0] >= 1:
        _check_num_classes(len(numbers), origin)
        mapped = tuple(numbers.tolist())
        return ClassMapping(tuple(str(value) for value in mapped), mapped)
    # One hostile label must not make a thousand classes.
    if not 1 <= largest + 1 <= min(2 * len(numbers), MAX_CLASSES):
        raise InputError(
            f"largest label {largest} in the {len(given.numbers)} rows of {origin}: set num_classes"
        )
    return known_classes((), largest + 1)


def map_labels_of_rows(
    given: GivenLabels, rows: np.ndarray, num_classes: int | None, *, origin: str
) -> ClassMapping:
    """Returns what `map_labels` returns for some rows alone, those of the training set."""
    numbers = given.numbers[rows]
    if given.texts is None:
        return map_labels(GivenLabels(numbers), (), num_classes, origin=origin)
    used = np.unique(numbers[numbers >= 0])
    texts = tuple(given.texts[number] for number in used.tolist())
    return map_labels(GivenLabels(numbers, texts), (), num_classes, origin=origin)


def known_classes(class_names: tuple[str, ...], num_classes: int) -> ClassMapping:
    """Returns classes whose labels are 0 to `num_classes` - 1."""
    if len(class_names) != num_classes:
        class_names = tuple(str(label) for label in range(num_classes))
    return ClassMapping(class_names)


def as_numbers(given: GivenLabels) -> GivenLabels:
    """Returns labels as numbers if every one of them is one; one that is not whole becomes -1."""
    numbers = []
    for text in given.texts or ():
        if _NUMBER.match(text) is None:
            return given
        number = float(text)
        numbers.append(int(number) if number.is_integer() else -1)
    return GivenLabels(np.take(np.array([*numbers, -1], np.int64), given.numbers))


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Returns float64 [N] as int64 [N]: whole numbers below 2^53 as they are, others as -1."""
    whole = np.isfinite(values) & (np.abs(values) < 2.0**53) & (values == np.rint(values))
    return np.where(whole, values, -1).astype(np.int64)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Returns a key that sorts `class 10` after `class 9`."""
    key: list[tuple[int, int, str]] = []
    for number, part in enumerate(re.split("([0-9]+)", text)):
        if number % 2 and len(part) < 20:  # every second part is digits
            key.append((0, int(part), part))
        else:
            key.append((1, 0, part))
    return tuple(key)


class TextCodes:
    """Numbers the different texts of a column, as they come, within limits."""

    def __init__(self, origin: str) -> None:
        """Starts with no text.

        Args:
            origin: Where the texts come from, for messages.
        """
        self._origin = origin
        self._code_of: dict[str, int] = {}
        self._num_bytes = 0

    def code(self, text: str | None) -> int:
        """Returns the number of a text; -1 for a missing or an empty one.

        Raises:
            InputError: If there are more different texts than there can be classes.
        """
        if not text:
            return -1
        known = self._code_of.get(text)
        if known is not None:
            return known
        self._num_bytes += len(text)
        if len(self._code_of) >= MAX_CLASSES or self._num_bytes > MAX_CLASS_NAMES_BYTES:
            raise InputError(
                f"the labels of {self._origin} are more than {MAX_CLASSES} different names, or "
                f"longer than {MAX_CLASS_NAMES_BYTES} bytes, such as "
                f"{shortened(encodable(text), 40)!r}: name the column of the classes"
            )
        self._code_of[text] = len(self._code_of)
        return self._code_of[text]

    def texts(self) -> tuple[str, ...]:
        """Returns the different texts in the order of their numbers."""
        return tuple(self._code_of)


def _check_num_classes(num_classes: int, origin: str) -> None:
    if num_classes > MAX_CLASSES:
        raise InputError(
            f"{origin} has {num_classes} different labels, more than {MAX_CLASSES}: "
            "name the column of the classes"
        )
