"""Which shard comes next: the rules of a run on a cluster."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidscan.distributed.schedule import MAX_ATTEMPTS, Schedule


def test_each_shard_is_begun_once_in_order() -> None:
    schedule = Schedule([3, 4, 5])
    for shard in (3, 4, 5):
        assert schedule.next_shard("host", 0.0) == shard
        schedule.begin(shard, f"worker {shard}", 0.0)
    assert schedule.next_shard("host", 1.0) is None
    for shard in (3, 4, 5):
        assert not schedule.is_over
        schedule.end(shard, f"worker {shard}", 10.0)
    assert schedule.is_over
    assert schedule.finished == {3, 4, 5}


def test_a_lost_shard_is_begun_again_and_at_last_given_up() -> None:
    schedule = Schedule([0, 1])
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert schedule.attempt(0) == attempt
        schedule.begin(0, attempt, 0.0)
        schedule.lose(0, attempt)
    assert schedule.given_up == {0}
    assert schedule.next_shard("host", 0.0) == 1
    schedule.begin(1, "worker", 0.0)
    schedule.end(1, "worker", 1.0)
    assert schedule.is_over


def test_new_results_begin_the_count_of_lost_attempts_again() -> None:
    schedule = Schedule([0])
    for attempt in range(3 * MAX_ATTEMPTS):
        schedule.begin(0, attempt, 0.0, "host")
        assert schedule.progress(0, "host", 1 + attempt // 3) == (attempt % 3 == 0)
        schedule.lose(0, attempt)
    assert schedule.given_up == set()
    for attempt in range(MAX_ATTEMPTS - 3):
        assert schedule.next_shard("host", 0.0) == 0
        schedule.begin(0, attempt, 0.0, "host")
        schedule.lose(0, attempt)
    assert schedule.given_up == {0}


def test_a_lost_shard_is_left_to_the_machine_that_has_its_results_under_way() -> None:
    schedule, both = Schedule([0, 1]), {"a", "b"}
    for attempt in range(MAX_ATTEMPTS - 1):
        schedule.begin(0, attempt, 0.0, "a")
        schedule.lose(0, attempt)
        if attempt < MAX_ATTEMPTS - 2:
            assert schedule.next_shard("b", 0.0, both) == 1
    schedule.begin(1, "b", 0.0, "b")
    schedule.end(1, "b", 1.0)
    assert schedule.next_shard("b", 0.0, both) == 0  # the last attempt may be elsewhere


def test_a_shard_of_a_machine_that_is_gone_is_anybodys() -> None:
    schedule = Schedule([0])
    schedule.begin(0, "worker", 0.0, "a")
    schedule.lose(0, "worker")
    assert schedule.next_shard("b", 0.0, {"a", "b"}) is None
    assert schedule.next_shard("b", 0.0, {"b"}) == 0


def test_leaving_without_fault_is_no_attempt() -> None:
    schedule = Schedule([0])
    for worker in range(3 * MAX_ATTEMPTS):
        schedule.begin(0, worker, 0.0)
        schedule.put_back(0, worker)
    assert schedule.next_shard("host", 0.0) == 0
    assert schedule.attempt(0) == 1


def test_a_slow_shard_is_begun_a_second_time_and_the_first_results_count() -> None:
    schedule = Schedule([0, 1], soonest=5.0)
    schedule.begin(0, "slow", 0.0)
    schedule.begin(1, "fast", 0.0)
    schedule.end(1, "fast", 10.0)
    assert schedule.next_shard("other", 19.0) is None  # not yet twice the median
    assert schedule.next_shard("other", 21.0) == 0
    schedule.begin(0, "fast", 21.0)
    assert schedule.next_shard("other", 100.0) is None  # two are enough
    schedule.end(0, "fast", 30.0)
    assert schedule.is_over
    schedule.lose(0, "slow")  # what becomes of the other one does not matter
    assert schedule.is_over
    assert schedule.given_up == set()


def test_a_slow_shard_is_begun_a_second_time_on_another_host_only() -> None:
    schedule = Schedule([0], soonest=5.0)
    schedule.begin(0, "slow", 0.0, "host a")
    assert schedule.next_shard("host a", 10.0) is None
    assert schedule.next_shard("host b", 10.0) == 0


def test_no_second_attempt_while_others_wait() -> None:
    schedule = Schedule([0, 1, 2], soonest=0.0)
    schedule.begin(0, "slow", 0.0)
    schedule.begin(1, "fast", 0.0)
    schedule.end(1, "fast", 1.0)
    assert schedule.next_shard("host", 1000.0) == 2


def test_a_shard_that_somebody_else_has_comes_last_and_not_for_ever() -> None:
    schedule = Schedule([0, 1])
    for attempt, following in ((1, 1), (2, 1)):
        schedule.begin(0, attempt, 0.0, "host")
        assert schedule.postpone(0, attempt, most=2)
        assert schedule.next_shard("host", 0.0, {"host"}) == following
    schedule.begin(0, 3, 0.0, "host")
    assert not schedule.postpone(0, 3, most=2)
    schedule.refuse(0, 3, "host")
    assert schedule.next_shard("other", 0.0, {"host", "other"}) == 1


def test_hosts_that_refuse_a_shard_get_others() -> None:
    schedule = Schedule([0, 1])
    schedule.begin(0, "a", 0.0)
    schedule.refuse(0, "a", "host a")
    assert schedule.next_shard("host a", 0.0) == 1
    assert schedule.next_shard("host b", 0.0) == 1
    schedule.begin(1, "a", 0.0)
    schedule.end(1, "a", 1.0)
    schedule.give_up_refused({"host a", "host b"})  # b may still try
    schedule.give_up_refused(set())  # who comes later may
    assert schedule.given_up == set()
    schedule.give_up_refused({"host a"})
    assert schedule.given_up == {0}
    assert schedule.next_shard("host b", 2.0) is None


@given(
    st.lists(st.tuples(st.sampled_from(["begin", "end", "lose", "put back"]), st.integers(0, 5)), max_size=80)
)
def test_no_shard_is_forgotten(steps: list[tuple[str, int]]) -> None:
    """Whatever happens, each shard waits, is under way, has results or was given up."""
    schedule, now = Schedule(range(6), soonest=0.0), 0.0
    busy: dict[int, int] = {}
    for step, worker in steps:
        now += 1.0
        if step == "begin" and worker not in busy:
            if (shard := schedule.next_shard(f"host {worker}", now)) is not None:
                schedule.begin(shard, worker, now)
                busy[worker] = shard
        elif worker in busy:
            shard = busy.pop(worker)
            if step == "end":
                schedule.end(shard, worker, now)
            elif step == "lose":
                schedule.lose(shard, worker)
            else:
                schedule.put_back(shard, worker)
    seen = set(busy.values()) | schedule.finished | schedule.given_up
    while (shard := schedule.next_shard("fresh", now)) is not None and shard not in seen:
        seen.add(shard)
        schedule.begin(shard, object(), now)
    assert seen == set(range(6))
    assert not schedule.finished & schedule.given_up
