"""That suites are counted as they went: what fails, what is tried again, and what is said of it."""

import re

import pytest

from lib import jobs

FAILS_ONCE = '''
import pathlib
def test_once():
    tried = pathlib.Path(__file__).with_suffix(".tried")
    was_tried = tried.exists()
    tried.touch()
    assert was_tried, {text!r}
def test_good():
    pass
'''
FAILS = "def test_bad():\n    assert {'a': 1} == {'b': 1}\n"


@pytest.fixture(name="run")
def fixture_run(tmp_path):
    """Returns a function that runs test files, given as texts, and tries again what fails, up to a limit."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(*texts, limit=3, tell=lambda outcomes: None, **fields):
        planned = []
        for i, text in enumerate(texts):
            file = tmp_path / f"test_{i}.py"
            file.write_text(text)
            planned.append(jobs.pytest(f"job {i}", tmp_path / "results", file))
            vars(planned[-1]).update(fields)
        outcomes = jobs.side_by_side(planned, 2, tell)
        jobs.try_again(planned, outcomes, limit)
        return outcomes
    return run


def test_what_fails_once_is_counted_as_passed_and_told_of(run):
    flaky, bad = run(FAILS_ONCE.format(text="the reason"), FAILS)
    assert (flaky.passed, flaky.failed, flaky.late) == (2, [], ["test_0.test_once"])
    assert "AssertionError: the reason" in flaky.why["test_0.test_once"]
    assert (bad.passed, bad.failed, bad.late) == (0, ["test_1.test_bad"], [])
    assert jobs.failures([flaky, bad]) == 1


@pytest.mark.parametrize("text", [
    "ERROR: AddressSanitizer: heap-use-after-free", "x.c:1:2: runtime error: signed integer overflow",
    "gate 0, process 7, was killed by signal 11 (Segmentation fault)", "assert not storm.moved"])
def test_what_no_machine_is_to_blame_for_has_no_second_try(run, text):
    outcome, = run(FAILS_ONCE.format(text="a log\n" * 100 + text))
    assert (outcome.failed, outcome.late) == (["test_0.test_once"], [])


def test_more_failures_than_may_be_have_no_second_try(run):
    outcomes = run(FAILS_ONCE.format(text=""), FAILS, limit=1)
    assert [one.failed for one in outcomes] == [["test_0.test_once"], ["test_1.test_bad"]]


def test_what_may_not_be_tried_again_is_not(run):
    outcome, = run(FAILS_ONCE.format(text=""), may_try_again=False)
    assert outcome.failed == ["test_0.test_once"]


def test_of_a_failure_with_a_long_log_the_beginning_and_the_end_are_told():
    lines = ["x.py:1: in f", "    assert x", "E   AssertionError: why", *(f"E   {i}" for i in range(500))]
    told = jobs.excerpt(lines).splitlines()
    assert told[:3] == lines[:3] and told[-1] == "E   499" and len(told) == jobs.TOLD_LINES


def test_what_takes_longer_than_all_may_is_ended_and_nothing_begins_afterwards(run, monkeypatch):
    monkeypatch.setattr(jobs.Limits, "over", float("inf"))
    jobs.end_by(3)
    slow, = run("import time\ndef test_slow():\n    time.sleep(600)\n")
    late, = run(FAILS)
    assert re.fullmatch(r"took more than \d s", slow.wrong) and slow.seconds < 300
    assert late.wrong == "not started, as the time for all of it is over"


def test_the_time_of_processors_is_counted(run):
    idle, busy = run("import time\ndef test_idle():\n    time.sleep(2)\n",
                     "import time\ndef test_busy():\n    while time.process_time() < 2:\n        pass\n")
    assert busy.computed > 2 and idle.computed < busy.computed


def test_each_time_that_a_job_ends_it_is_told_which_ones_have_not(run):
    told = []
    run("import time\ndef test_slow():\n    time.sleep(4)\n", "def test_fast():\n    pass\n",
        tell=lambda outcomes: told.append([(one.name, one.wrong) for one in outcomes]))
    assert told == [[("job 0", jobs.UNDER_WAY), ("job 1", "")], [("job 0", ""), ("job 1", "")]]
