"""Which block goes to which actor, and when a pool is given up: decided without Ray."""

import subprocess
import sys
from collections import Counter

import pytest

from ray_defense.cluster.retry_policy import MAX_DEATHS, BlockSchedule
from ray_defense.core.errors import RunError
from tests.support.fake_pool import BLOCK_S, PATIENCE_S, FakePool

BLOCKS = [f"block {number}" for number in range(8)]


def scoring_schedule(blocks: list[str] | None = None) -> BlockSchedule:
    return BlockSchedule("scoring", BLOCKS if blocks is None else blocks)


def test_the_policy_imports_no_ray() -> None:
    code = "import sys, ray_defense.cluster.retry_policy; print('ray' in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert finished.stdout == "False\n"


def test_every_block_is_done_once_and_two_actors_take_half_the_time() -> None:
    seconds = []
    for num_actors in (1, 2):
        pool = FakePool(num_actors)
        schedule = scoring_schedule()
        pool.run(schedule)
        assert pool.parts == Counter(BLOCKS)
        assert schedule.finished
        assert schedule.num_done == schedule.num_blocks == len(BLOCKS)
        seconds.append(pool.clock_s)
    assert seconds == [8 * BLOCK_S, 4 * BLOCK_S]


def test_a_schedule_without_blocks_is_finished() -> None:
    schedule = scoring_schedule([])
    assert schedule.finished
    assert schedule.assign() == []


def test_no_block_is_given_to_an_actor_that_is_not_up() -> None:
    schedule = scoring_schedule()
    assert schedule.assign() == []
    assert not schedule.any_process_up
    schedule.process_up("late")
    assert schedule.any_process_up
    assert {process for process, _ in schedule.assign()} == {"late"}


def test_an_actor_has_two_blocks_in_hand_so_that_it_need_not_wait_for_the_driver() -> None:
    schedule = scoring_schedule()
    schedule.process_up("actor")
    assert schedule.assign() == [("actor", "block 0"), ("actor", "block 1")]
    assert schedule.assign() == []
    schedule.block_done("actor")
    assert schedule.assign() == [("actor", "block 2")]


def test_the_blocks_of_a_dead_actor_go_to_another() -> None:
    schedule = scoring_schedule(["block 0", "block 1"])
    schedule.process_up("dying")
    assert schedule.assign() == [("dying", "block 0"), ("dying", "block 1")]
    schedule.process_lost("dying")
    schedule.block_lost("block 0")
    schedule.block_lost("block 1")
    assert schedule.assign() == []
    schedule.process_up("other")
    assert schedule.assign() == [("other", "block 0"), ("other", "block 1")]


def test_a_killed_actor_is_replaced_and_nothing_is_left_out_or_scored_twice() -> None:
    pool = FakePool(2, deaths_over={"block 2": 1})
    schedule = scoring_schedule()
    pool.run(schedule)
    ((dead, block),) = pool.deaths
    assert block == "block 2"
    assert pool.done_by["block 2"] != dead
    assert pool.num_started == 3
    assert 2 in pool.done_by.values()  # the replacement works, too
    assert pool.parts == Counter(BLOCKS)
    assert schedule.num_done == len(BLOCKS)


def test_a_block_that_was_finished_before_its_actor_died_over_the_next_one_counts_once() -> None:
    schedule = scoring_schedule(["block 0", "block 1"])
    schedule.process_up("dying")
    schedule.assign()
    schedule.process_lost("dying")
    schedule.block_lost("block 1")
    schedule.block_done("dying")  # the driver hears of it after the death
    assert schedule.num_done == 1
    schedule.process_up("other")
    assert schedule.assign() == [("other", "block 1")]
    schedule.block_done("other")
    assert schedule.finished


def test_blocks_over_which_actors_die_a_few_times_are_done_in_the_end() -> None:
    pool = FakePool(2, deaths_over={"block 1": MAX_DEATHS, "block 6": MAX_DEATHS - 1})
    pool.run(scoring_schedule())
    assert pool.parts == Counter(BLOCKS)
    assert len(pool.deaths) == 2 * MAX_DEATHS - 1
    assert pool.num_started == 2 + len(pool.deaths)


def test_a_block_over_which_actors_die_again_and_again_ends_the_run_and_is_named() -> None:
    pool = FakePool(2, deaths_over={"block 5": 100})
    schedule = scoring_schedule()
    with pytest.raises(RunError, match="actors of scoring die again and again over block 5: run"):
        pool.run(schedule)
    assert [block for _, block in pool.deaths] == ["block 5"] * (MAX_DEATHS + 1)
    assert not schedule.finished
    assert pool.parts["block 5"] == 0
    assert max(pool.parts.values()) == 1


def test_actors_that_die_before_they_are_up_end_the_run_with_the_reason() -> None:
    schedule = scoring_schedule()
    num_actors = 2
    for _ in range(MAX_DEATHS * num_actors):
        schedule.process_lost("actor")
        schedule.check_going_on(num_actors, None, "no memory")
    schedule.process_lost("actor")
    message = r"actors of scoring die again and again: run again to resume \(no memory\)"
    with pytest.raises(RunError, match=message):
        schedule.check_going_on(num_actors, None, "no memory")


def test_a_finished_block_sets_the_count_of_deaths_back() -> None:
    schedule = scoring_schedule()
    schedule.process_up("steady")
    schedule.assign()
    for _ in range(len(BLOCKS) - 1):
        for _ in range(MAX_DEATHS):
            schedule.process_lost("actor")
            schedule.check_going_on(1, None, "killed")
        schedule.block_done("steady")


def test_a_hanging_block_is_reported_after_the_others_and_the_patience() -> None:
    pool = FakePool(2, hangs_over=["block 3"])
    schedule = scoring_schedule()
    message = f"nothing of scoring was finished in {PATIENCE_S:.0f} s: an actor hangs; run again"
    with pytest.raises(RunError, match=message):
        pool.run(schedule)
    done = set(pool.parts)
    assert "block 3" not in done
    # At most one more block is in the hands of the actor that hangs.
    assert len(done) >= len(BLOCKS) - 2
    assert pool.clock_s >= PATIENCE_S


def test_a_pool_of_which_no_actor_comes_up_is_reported_as_such() -> None:
    pool = FakePool(2, never_up=True)
    message = r"no actor could start \(is there a free CPU or GPU for one\?\)"
    with pytest.raises(RunError, match=message):
        pool.run(scoring_schedule())
    assert pool.clock_s == PATIENCE_S
    assert not pool.parts
