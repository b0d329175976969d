"""The error that a stage raised, dug out of what Ray wraps it in."""

from ray_defense.core.errors import RayDefenseError


def original(error: BaseException) -> BaseException:
    """Returns the innermost error of ours or of the system (a full disk) among `error` and its causes, else `error`.

    Ray raises a class that is both its own and the cause's, with a whole traceback as text: such a one is looked into.
    """
    found, seen = error, set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        if isinstance(inner, RayDefenseError | OSError) and not hasattr(inner, "cause"):
            found = inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    if isinstance(found, RayDefenseError):
        return type(found)(str(found).splitlines()[0])  # Ray Data appends advice of its own; our messages are one line
    return found
