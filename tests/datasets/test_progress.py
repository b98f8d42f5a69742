"""The progress of a long task."""

import re

from big_rad.datasets import progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run(steps, seconds, total, count=1):
    """[(seconds, line)] of the printed lines, for steps that all take the same time."""
    clock, said = Clock(), []
    watched = progress.Progress(
        "folder/default", total, log=lambda line: said.append((clock.now - 100, line)), clock=clock
    )
    for _ in range(steps):
        clock.now += seconds
        watched.step(count)
    return said


def test_what_is_done_in_ten_seconds_stays_silent():
    assert run(9, 1.0, 9) == [] and run(900, 0.01, 900) == []


def test_a_line_has_count_share_rate_and_a_right_eta():
    said = run(400, 0.5, 1000, count=3)
    assert said[0] == (
        10.0, "folder/default: 60 images, 2%, 6.0 images a second, ETA 8 min",
    )  # fmt: skip
    # At this line, 610 steps of half a second are left.
    assert "1,170 images, 39%, 6.0 images a second, ETA 5 min" in said[-1][1]


def test_the_time_that_processes_take_to_start_does_not_count():
    clock, said = Clock(), []
    watched = progress.Progress("x", 100, log=said.append, clock=clock)
    clock.now += 9.5
    for _ in range(10):
        watched.step()
        clock.now += 0.1
    assert said and said[0].endswith("10.0 images a second, ETA 9 s")


def test_a_day_of_work_prints_a_few_hundred_lines_and_none_at_the_end():
    said = run(24 * 360, 10.0, 24 * 360)
    assert 200 < len(said) < 400
    assert all(b[0] - a[0] <= 310 for a, b in zip(said, said[1:]))
    assert "100%, " not in said[-1][1] or re.search(r"ETA \d", said[-1][1])
    assert said[-1][0] < 24 * 3600


def test_without_a_total_the_count_and_the_rate_are_said():
    assert run(30, 1.0, 0)[0][1] == "folder/default: 10 images, 1.0 images a second"


def test_items_pass_through_unchanged():
    assert list(progress.over(iter("abc"), "x", 3)) == list("abc")
