"""Links that are followed: only to what lies below one folder, which the user names.

Where a link leads to is found once. That path is opened part by part without following a further
link, so that nobody can exchange a part of it for a link meanwhile.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from ray_defense.core.errors import InputError
from ray_defense.data.text import encodable, shortened


@dataclass(frozen=True)
class FollowedLinks:
    """The links below a source that may be followed."""

    below: str  # the real path of the folder where they may lead to

    def target(self, path: str) -> str | None:
        """Returns the real path of the file or folder that a path leads to.

        Returns:
            None if it does not lie below the folder, or is not there.
        """
        real = os.path.realpath(path)
        if not Path(real).is_relative_to(self.below) or not os.path.exists(real):
            return None  # a link to itself does not exist either
        return real

    def open(self, target: str, flags: int) -> int:
        """Opens a file and returns its descriptor.

        Args:
            target: What `target` returned.
            flags: Of `os.open`, besides those that follow no link.

        Raises:
            OSError: If it cannot be opened, or a part of its path has become a link.
        """
        parts = Path(target).relative_to(self.below).parts
        folder = os.open(self.below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts[:-1]:
                parent = folder
                folder = os.open(
                    part,
                    os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                    dir_fd=parent,
                )
                os.close(parent)
            return os.open(parts[-1], flags | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)


def followed_links(below: str) -> FollowedLinks | None:
    """Returns the links that are followed, or None for no folder: then none is."""
    return FollowedLinks(os.path.realpath(below)) if below else None


def check_followed(path: str, kind: str, links: FollowedLinks | None) -> str:
    """Returns where a link to a folder leads to.

    Args:
        path: The link.
        kind: What the folder is, for the message ("class folder").
        links: The links that are followed.

    Raises:
        InputError: If it is not among them.
    """
    target = links.target(path) if links is not None else None
    if target is None:
        raise InputError(
            f"{kind} {shortened(encodable(path))!r} is {reason_of_link(links)}, or put the folder "
            "itself there"
        )
    return target


def reason_of_link(links: FollowedLinks | None) -> str:
    """Returns why a link is not read, and the remedy."""
    if links is None:
        return (
            "a link, so not a regular file or folder: set follow_links_below to a folder that "
            "holds what it leads to"
        )
    return (
        "a link that leads to no regular file or folder below follow_links_below: set that to a "
        "folder that holds it"
    )
