"""The error that a stage raised, dug out of what Ray wraps it in."""

from ray_defense.core.errors import RayDefenseError


def original_error(error: BaseException) -> BaseException:
    """Returns the innermost error of ours or of the system (a full disk) behind an error of Ray.

    Ray raises a class that is both its own and the cause's, with a whole traceback as its text;
    such an error is looked into. Where there is no error of ours, the error itself is returned.
    """
    innermost = error
    visited: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in visited:
        visited.add(id(inner))
        wraps_another = hasattr(inner, "cause")
        if isinstance(inner, RayDefenseError | OSError) and not wraps_another:
            innermost = inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    if isinstance(innermost, RayDefenseError):
        # Ray Data appends advice of its own; our messages are one line.
        first_line = str(innermost).splitlines()[0]
        return type(innermost)(first_line)
    return innermost
