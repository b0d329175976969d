"""Which block goes to which process, and when a pool of dying processes is given up.

Plain data and decisions: nothing here knows Ray.
"""

from collections import Counter, deque
from collections.abc import Hashable, Sequence
from typing import Any

from ray_defense.cluster.patience import stalled_error
from ray_defense.core.errors import RunError

MAX_DEATHS = 3  # with one block in hand, and of each process while no block is finished
_BLOCKS_IN_HAND = 2  # of each process, so that none waits for the driver


class BlockSchedule:
    """The blocks of a job and the processes that have them in hand."""

    def __init__(self, task: str, blocks: Sequence[Hashable]):
        """Creates the schedule.

        Args:
            task: The name of the work, for messages.
            blocks: The blocks to be done.
        """
        self.task = task
        self.num_blocks = len(blocks)
        self.num_done = 0
        self._waiting = deque(blocks)
        self._in_hand: dict[Any, int] = {}  # process that is up -> number of its blocks
        self._deaths_over: Counter[Hashable] = Counter()  # a block
        self._deaths_since_block = 0  # since the last block that was finished

    @property
    def finished(self) -> bool:
        """Whether every block is done."""
        return self.num_done >= self.num_blocks

    @property
    def any_process_up(self) -> bool:
        """Whether a process ever came up and lives."""
        return bool(self._in_hand)

    def process_up(self, process: Any) -> None:
        """Notes that a process is ready for blocks."""
        self._in_hand[process] = 0

    def block_done(self, process: Any) -> None:
        """Notes that a process has finished a block; it may have died over its next one since."""
        self.num_done += 1
        self._deaths_since_block = 0
        if process in self._in_hand:
            self._in_hand[process] -= 1

    def process_lost(self, process: Any) -> None:
        """Notes that a process died."""
        self._in_hand.pop(process, None)
        self._deaths_since_block += 1

    def block_lost(self, block: Hashable) -> None:
        """Notes that a block was in the hands of a process that died; another gets it."""
        self._waiting.append(block)
        self._deaths_over[block] += 1

    def check_going_on(self, num_processes: int, block: Hashable | None, reason: object) -> None:
        """Gives the pool up where its processes die again and again.

        Args:
            num_processes: Of the pool.
            block: The block that was in hand at the last death, if there was one.
            reason: What Ray said of the last death.

        Raises:
            RunError: If it is given up.
        """
        if block is not None and self._deaths_over[block] > MAX_DEATHS:
            raise RunError(
                f"actors of {self.task} die again and again over {block}: "
                f"run again to resume ({reason})"
            )
        if self._deaths_since_block > MAX_DEATHS * num_processes:
            raise RunError(
                f"actors of {self.task} die again and again: run again to resume ({reason})"
            )

    def assign(self) -> list[tuple[Any, Hashable]]:
        """Returns blocks that are to be started now, each with the process that gets it."""
        assigned = []
        for process in self._in_hand:
            while self._waiting and self._in_hand[process] < _BLOCKS_IN_HAND:
                assigned.append((process, self._waiting.popleft()))
                self._in_hand[process] += 1
        return assigned

    def stalled_error(self, patience_s: float) -> RunError:
        """Returns the error for a pool of which nothing was finished in a long time."""
        cause = "no actor could start (is there a free CPU or GPU for one?)"
        if self.any_process_up:
            cause = "an actor hangs"
        return stalled_error(self.task, patience_s, cause)
