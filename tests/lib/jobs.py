"""Jobs, which are commands that run tests and leave a JUnit file: run side by side, and counted."""

import concurrent.futures
import dataclasses
import os
import pathlib
import re
import select
import signal
import subprocess
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DURATIONS = ROOT / "tests/durations"
# Where Python keeps what it has compiled, and does so whatever it finds in its environment. A guest finds it there:
# to compile the tests takes it a minute.
BYTECODE = {"PYTHONPYCACHEPREFIX": str(ROOT / "build/results/pycache"), "PYTHONDONTWRITEBYTECODE": ""}
END_SECONDS = 10  # for what is told to end
JOB_SECONDS = 900
UNDER_WAY = "had not ended"
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "--tb=short"]
TOLD_LINES = 15  # of a failure, at the end of a run
# A slow machine does none of this, so that once is enough: memory or threads misused, a crash, an address that
# has gone to somebody else.
GRAVE = re.compile(r"Sanitizer|runtime error:|by signal (4|6|7|8|11)\b|storm\.moved")
RUNNING = set()  # processes, each the leader of a session
ENDING = threading.Event()  # from then on none is started


class Limits:
    over = float("inf")  # on the monotonic clock, when all of it has to be


@dataclasses.dataclass
class Job:
    name: str
    command: list
    result: pathlib.Path  # the JUnit file that the command writes
    environment: dict = dataclasses.field(default_factory=dict)
    seconds: int = JOB_SECONDS
    may_skip_all: bool = False  # the whole file is about what may not be there
    may_try_again: bool = True  # what fails may be the machine's fault


@dataclasses.dataclass
class Outcome:
    """What became of a job. Names of tests but for `passed`."""
    name: str
    seconds: float = 0
    computed: float = 0  # seconds of a processor, of those that it has waited for
    passed: int = 0
    skipped: int = 0
    failed: list = dataclasses.field(default_factory=list)
    late: list = dataclasses.field(default_factory=list)  # passed, but only at a second try
    wrong: str = ""  # with the job itself
    why: dict = dataclasses.field(default_factory=dict)  # by the name of what failed at first: a text
    is_grave: bool = False  # one of these says what no machine is to blame for

    def __str__(self):
        line = f"{self.name}: {self.seconds:.0f} s, {self.computed:.0f} s of a processor"
        if self.passed or self.failed or self.skipped:
            line += (f", {self.passed} passed, {len(self.failed)} failed, "
                     f"{self.skipped} skipped")
        if self.wrong:
            line += f"; {self.wrong}"
        return "\n".join([line, *(f"    failed: {name}" for name in self.failed),
                          *(f"    only at a second try: {name}" for name in self.late)])


def pytest(name, folder, *arguments, environment=None):
    """A job of pytest that has its files in a folder."""
    stem = folder / name.replace("/", "-").replace(", ", "-").replace(" ", "-").removesuffix(".py")
    result = stem.with_name(stem.name + ".xml")
    command = [*PYTEST, "-o", f"cache_dir={stem}.cache", "--durations=5", f"--junitxml={result}",
               *map(str, arguments)]
    return Job(name, command, result, environment or {})


def files_of(suite, *marks):
    """The test files of a folder of tests/, those that use one of these marks if any is given."""
    return [file.relative_to(ROOT) for file in sorted((ROOT / "tests" / suite).glob("test_*.py"))
            if not marks or any(f"mark.{mark}" in file.read_text() for mark in marks)]


# Running


def side_by_side(jobs, processes, tell=lambda outcomes: None):
    """Runs jobs, so many at a time. Returns their outcomes, in the order of the jobs. Each time that a job ends
    tell() is called with all of them, for who may not live to see the last one."""
    outcomes = {job.name: Outcome(job.name, wrong=UNDER_WAY) for job in jobs}
    telling = threading.Lock()

    def run_and_tell(job):
        outcomes[job.name] = run(job)
        with telling:
            tell(list(outcomes.values()))

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        list(pool.map(run_and_tell, longest_first(jobs)))
    return list(outcomes.values())


def longest_first(jobs):
    """So that the last ones to end do so together. What is not recorded may be long."""
    recorded = durations()
    return sorted(jobs, key=lambda job: -recorded.get(job.name, JOB_SECONDS))


def durations():
    """Seconds, by the name of a job, as they were when they were recorded."""
    lines = DURATIONS.read_text().splitlines() if DURATIONS.exists() else []
    return {name: float(seconds) for seconds, name in (line.split(maxsplit=1) for line in lines)}


def record(outcomes):
    found = {**durations(), **{one.name: one.seconds for one in outcomes}}
    DURATIONS.write_text("".join(f"{seconds:.0f} {name}\n"
                                 for name, seconds in sorted(found.items())))


def run(job):
    job.result.parent.mkdir(parents=True, exist_ok=True)
    job.result.unlink(missing_ok=True)
    began = time.monotonic()
    wrong, computed = execute(job.name, job.command, job.seconds, job.environment)
    outcome = count(job, wrong)
    outcome.seconds, outcome.computed = time.monotonic() - began, computed
    return outcome


def end_by(seconds):
    """Has all jobs end within so many seconds from now; what would begin later is not started."""
    Limits.over = time.monotonic() + seconds


def execute(name, command, seconds, environment=None):
    """Runs a command with all it starts in a session of its own, and passes on what it says.
    Returns what went wrong, "" if nothing did, and how many seconds of a processor it took."""
    seconds = min(seconds, Limits.over - time.monotonic())
    if ENDING.is_set() or seconds <= 0:
        return "not started" if ENDING.is_set() else "not started, as the time for all of it is over", 0
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                               env={**os.environ, **(environment or {})}, start_new_session=True)
    RUNNING.add(process)
    copier = threading.Thread(target=copy, args=(name, process.stdout))
    copier.start()
    try:
        if not has_ended(process, seconds):
            return f"took more than {seconds:.0f} s", 0
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wrong = f"exit status {process.returncode}" if process.returncode else ""
        return wrong, used.ru_utime + used.ru_stime
    finally:
        if process.poll() is None:
            end(process)
        RUNNING.discard(process)
        copier.join(END_SECONDS)


def has_ended(process, seconds):
    """Waits for it so long, and leaves to the caller to collect it."""
    descriptor = os.pidfd_open(process.pid)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def copy(name, stream):
    """Passes on what a job says, with its name before each line."""
    for line in stream:
        print(f"{name}: {line}", end="", flush=True)


def end(process):
    for number in signal.SIGTERM, signal.SIGKILL:
        try:
            os.killpg(process.pid, number)
            process.wait(END_SECONDS)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            pass


def end_with_all_jobs(number, _frame):
    """For signals: sessions of their own would go on without us."""
    ENDING.set()
    processes = list(RUNNING)
    with concurrent.futures.ThreadPoolExecutor(len(processes) or 1) as pool:
        list(pool.map(end, processes))
    os._exit(128 + number)


def heed_signals():
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, end_with_all_jobs)


# Counting


def count(job, wrong):
    """The outcome of a job, by its JUnit file. A job that breaks off or runs no test has failed: all
    being skipped is none, unless it may be."""
    outcome = Outcome(job.name)
    try:
        kinds = dict(cases(job.result))
    except (OSError, xml.etree.ElementTree.ParseError):
        kinds = {}
    outcome.passed = list(kinds.values()).count("passed")
    outcome.skipped = list(kinds.values()).count("skipped")
    outcome.failed = [case for case, kind in kinds.items() if kind == "failed"]
    for name, text in failure_texts(job.result) if outcome.failed else ():
        outcome.why.setdefault(name, excerpt(text.splitlines()))
        outcome.is_grave |= bool(GRAVE.search(text))
    outcome.wrong = wrong if not outcome.failed else ""
    n_run = len(kinds) - (0 if job.may_skip_all else outcome.skipped)
    if not n_run and not wrong:
        outcome.wrong = "no test was run"
    return outcome


def cases(result):
    """Yields the name of each test of a JUnit file, and "passed", "failed" or "skipped"; of one
    that is there twice, as its clean-up failed, the failure comes last."""
    found = []
    for case in xml.etree.ElementTree.parse(result).iter("testcase"):
        kinds = {child.tag for child in case}
        kind = "failed" if kinds & {"failure", "error"} else \
            "skipped" if "skipped" in kinds else "passed"
        found.append((f"{case.get('classname')}.{case.get('name')}", kind))
    return sorted(found, key=lambda one: one[1] == "failed")


def failure_texts(result):
    """Yields the name of each test that failed, and what pytest says of it."""
    for case in xml.etree.ElementTree.parse(result).iter("testcase"):
        for child in case:
            if child.tag in ("failure", "error"):
                yield f"{case.get('classname')}.{case.get('name')}", child.text or child.get("message") or ""


def excerpt(lines):
    """Where a server's log follows, it can be hundreds of lines; the last ones are its end."""
    first = next((i for i, line in enumerate(lines) if line.startswith("E ")), 0)
    lines = [line[:300] for line in lines[max(first - 3, 0):]]
    if len(lines) > TOLD_LINES:
        lines[TOLD_LINES - 6:-5] = ["..."]
    return "\n".join(lines)


def failures(outcomes):
    """How many there are, a job that broke off being one."""
    return sum(len(one.failed) or bool(one.wrong) for one in outcomes)


# Second tries


def try_again(jobs, outcomes, limit):
    """Runs what failed once more, alone, if it is no more than so many tests and nothing grave: a machine
    stands still now and then for as long as a test can wait."""
    if failures(outcomes) > limit or any(one.wrong or one.is_grave for one in outcomes):
        return
    for job, outcome in zip(jobs, outcomes):
        if outcome.failed and job.may_try_again:
            again = pathlib.Path(f"{str(job.result).removesuffix('.xml')}-again.xml")
            again.unlink(missing_ok=True)
            execute(f"{job.name}, again", [
                *job.command, f"--junitxml={again}", "--last-failed",
                "--last-failed-no-failures=none"], job.seconds, job.environment)
            accept(outcome, again)


def accept(outcome, again):
    """Counts what passed at the second try as passed."""
    try:
        kinds = dict(cases(again))
    except (OSError, xml.etree.ElementTree.ParseError):
        return
    outcome.late = [name for name in outcome.failed if kinds.get(name) == "passed"]
    outcome.failed = [name for name in outcome.failed if name not in outcome.late]
    outcome.passed += len(outcome.late)
