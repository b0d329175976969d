"""Linear algebra in one thread: sums whose bits do not depend on the number of cores."""

from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Returns a context in which BLAS, LAPACK and OpenMP use one thread."""
    # It comes with scikit-learn.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits
