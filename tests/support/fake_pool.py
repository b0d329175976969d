"""A pool of actors that exist only as numbers, on a clock of their own, driven by a schedule."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from ray_defense.cluster.retry_policy import BlockSchedule

BLOCK_S = 1.0  # that an actor takes over a block
PATIENCE_S = 60.0

Actor = int


class FakePool:
    """Actors that do their blocks in order, and die or hang over some of them.

    Attributes:
        clock_s: The time, in seconds, since the pool was started.
        parts: The blocks whose part was written, and how often.
        done_by: Which actor finished a block.
        deaths: The actors that died, with the block in hand, in order.
        num_started: Actors that were started, replacements included.
    """

    def __init__(
        self,
        num_actors: int,
        *,
        deaths_over: Mapping[str, int] | None = None,
        hangs_over: Sequence[str] = (),
        never_up: bool = False,
    ):
        """Creates the pool.

        Args:
            num_actors: How many actors there are at a time.
            deaths_over: How often the actor that has a block in hand dies over it.
            hangs_over: The blocks over which an actor hangs.
            never_up: Whether no actor ever comes up.
        """
        self.clock_s = 0.0
        self.parts: Counter[str] = Counter()
        self.done_by: dict[str, Actor] = {}
        self.deaths: list[tuple[Actor, str]] = []
        self.num_started = num_actors
        self._never_up = never_up
        self._deaths_left = dict(deaths_over or {})
        self._hangs_over = set(hangs_over)
        self._in_hand: dict[Actor, deque[str]] = {}
        for actor in range(num_actors):
            self._in_hand[actor] = deque()

    def run(self, schedule: BlockSchedule) -> None:
        """Runs a schedule as `cluster.blocks.run_schedule` does.

        Raises:
            RunError: As the schedule decides.
        """
        if not self._never_up:
            for actor in self._in_hand:
                schedule.process_up(actor)
        self._hand_out(schedule)
        while not schedule.finished:
            busy = [actor for actor in self._in_hand if self._works(actor)]
            if not busy:
                self.clock_s += PATIENCE_S
                raise schedule.stalled_error(PATIENCE_S)
            self.clock_s += BLOCK_S
            for actor in busy:
                self._take_turn(actor, schedule)
            self._hand_out(schedule)

    def _works(self, actor: Actor) -> bool:
        blocks = self._in_hand[actor]
        return bool(blocks) and blocks[0] not in self._hangs_over

    def _take_turn(self, actor: Actor, schedule: BlockSchedule) -> None:
        """Lets an actor finish its first block, or die over it."""
        block = self._in_hand[actor][0]
        if self._deaths_left.get(block, 0) > 0:
            self._deaths_left[block] -= 1
            self._die(actor, schedule)
            return
        self._in_hand[actor].popleft()
        self.parts[block] += 1
        self.done_by[block] = actor
        schedule.block_done(actor)

    def _die(self, actor: Actor, schedule: BlockSchedule) -> None:
        """Replaces an actor and gives its blocks back, the first as the cause of its death."""
        lost = self._in_hand.pop(actor)
        self.deaths.append((actor, lost[0]))
        newcomer = self.num_started
        self.num_started += 1
        self._in_hand[newcomer] = deque()
        schedule.process_lost(actor)
        for block in lost:
            schedule.block_lost(block)
            schedule.check_going_on(len(self._in_hand), block, f"actor {actor} was killed")
        schedule.process_up(newcomer)

    def _hand_out(self, schedule: BlockSchedule) -> None:
        for actor, block in schedule.assign():
            self._in_hand[actor].append(str(block))
