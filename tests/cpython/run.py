#!/usr/bin/env python3
"""CPython's own suites, on the kernel and under berth, test case by test case.

    tests/cpython/run.py BUILD                     all suites, both sides; two columns and a percentage
    tests/cpython/run.py BUILD -s test_poll ...    these suites
    tests/cpython/run.py BUILD -t NAME ...         these test cases (or classes, or modules), with what they print

Needs Debian's libpython3.11-testsuite (`make test-cpython` installs it). Natively a worker runs in a
network namespace of its own, where that is allowed, else on the machine's loopback; under berth in a network of
its own, made by `berth run`. worker.py runs the test cases and writes down what became of each. Long
suites are split into jobs; as many jobs run at once as -j says.

A test case that says nothing for --hang seconds is ended with its whole process group and counted as
failed; the rest of its job goes on in a new process. What passes natively and not under berth is run
again alone, up to three times on both sides: it counts as passed if it passes once, and is listed as
unsteady. Natively the same is done: a test that never passes alone there is not held against berth.

known.txt lists what is known to fail under berth, `NAME | reason` a line. Exit code 1: less than 99 %
of what passes natively passes under berth, or something fails that is not listed, or something listed
passes. 77: CPython's suites are not installed.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = os.path.join(HERE, "worker.py")
PYTHON = "/usr/bin/python3.11"  # Debian's, to which the suites belong; not what PATH or pyenv says
SUITES = """test_socket test_asyncio test_selectors test_select test_poll test_epoll test_socketserver test_httplib
test_httpservers test_smtplib test_ftplib test_poplib test_imaplib test_ssl test_asyncore test_urllib2_localnet
test_xmlrpc test_wsgiref test_multiprocessing_spawn""".split()
# How many test cases go into one job; fewer where they are slow.
JOB_CASES = 150
SLOW_MODULES = {"test.test_multiprocessing_spawn": 25, "test.test_ssl": 60, "test.test_socket": 180}
WANTED_PERCENT = 99.0
RERUNS = 3

Outcome = collections.namedtuple("Outcome", "status seconds why")
running = set()  # processes we started and have not waited for
running_lock = threading.Lock()


def netns_prefix():
    """How to enter a new network namespace whose loopback is up; [] where that is not allowed."""
    for unshare in (["unshare", "-n"], ["unshare", "-rn"]):
        prefix = unshare + ["sh", "-c", 'ip link set lo up 2>/dev/null || ifconfig lo up || exit 1; exec "$@"', "sh"]
        try:
            if subprocess.run(prefix + ["true"], capture_output=True, check=False).returncode == 0:
                return prefix
        except OSError:
            return []
    return []


class Side:
    """One of the two columns: how a command is started there."""

    def __init__(self, name, scratch, prefix, build=None):
        self.name, self.scratch, self.prefix, self.build = name, scratch, prefix, build

    def command(self, argv, place):
        """Under berth every worker has a directory of its own, `place`, for its network."""
        env = dict(os.environ, TMPDIR=place, PYTHONDONTWRITEBYTECODE="1")
        for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "http_proxy", "https_proxy", "no_proxy"):
            env.pop(name, None)
        argv = [PYTHON, "-W", "ignore"] + argv
        if not self.build:
            return self.prefix + argv, env
        env["BERTH_DIR"] = os.path.join(place, "berth")
        berth = os.path.join(self.build, "src", "cli", "berth")
        return [berth, "run", "-q", "-n", "cpython", "-H", "host", "--"] + argv, env


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def read_report(path):
    outcomes, started = {}, None
    with open(path, encoding="utf-8") as f:
        for line in f:
            try:
                item = json.loads(line)
            except ValueError:
                continue  # a process that was killed while it wrote
            if "start" in item:
                started = item["start"]
            else:
                outcomes[item["end"]] = Outcome(item["status"], item["seconds"], item["why"])
                started = None if started == item["end"] else started
    return outcomes, started


def watch(process, report, hang_s):
    """Waits for the process. Return: None; or why it was ended: it wrote no line for hang_s seconds."""
    size, since = -1, time.monotonic()
    while True:
        try:
            process.wait(timeout=0.2)
            return None
        except subprocess.TimeoutExpired:
            pass
        now = os.path.getsize(report) if os.path.exists(report) else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > hang_s:
            end_group(process)
            process.wait()
            return f"hung: nothing for {hang_s} s"


def run_once(side, names, hang_s):
    """One worker process. Return: outcomes of what ended, the name of what it died in or None, and why."""
    place = tempfile.mkdtemp(dir=side.scratch)
    report, wanted, log = (os.path.join(place, f) for f in ("report", "names", "log"))
    with open(wanted, "w", encoding="utf-8") as f:
        f.write("\n".join(names))
    open(report, "w", encoding="utf-8").close()
    argv, env = side.command([WORKER, report, wanted], place)
    with open(log, "wb") as out:
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=place,
                                   start_new_session=True)
        with running_lock:
            running.add(process)
        why = watch(process, report, hang_s)
        end_group(process)  # what a test left running
        with running_lock:
            running.discard(process)
    outcomes, started = read_report(report)
    if why is None:
        with open(log, "rb") as f:
            f.seek(max(0, os.path.getsize(log) - 1500))
            why = f"the process ended with {process.returncode}: " + f.read().decode(errors="replace")
    shutil.rmtree(place, ignore_errors=True)
    return outcomes, started, why


def run_names(side, names, hang_s):
    """All of them, in as many processes as it takes."""
    outcomes, left = {}, list(names)
    while left:
        got, died_in, why = run_once(side, left, hang_s)
        outcomes.update(got)
        if died_in and died_in not in outcomes:
            outcomes[died_in] = Outcome("failed", 0, why)
        still = [n for n in left if n not in outcomes]
        if len(still) == len(left):  # it died before the first, or between two
            outcomes[still[0]] = Outcome("failed", 0, why)
            still = still[1:]
        left = still
    return outcomes


def list_cases(side, suite):
    place = tempfile.mkdtemp(dir=side.scratch)
    argv, env = side.command([WORKER, "--list", "test." + suite], place)
    got = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    shutil.rmtree(place, ignore_errors=True)
    if got.returncode != 0:
        sys.exit(f"cannot list {suite}:\n{got.stderr[-2000:]}")
    return list(dict.fromkeys(got.stdout.split()))


def split(suite, names):
    """Jobs of whole classes: a class's fixtures are set up once."""
    limit, jobs, classes = SLOW_MODULES.get("test." + suite, JOB_CASES), [], {}
    for name in names:
        classes.setdefault(name.rpartition(".")[0], []).append(name)
    for cases in classes.values():
        if jobs and len(jobs[-1]) + len(cases) <= limit:
            jobs[-1].extend(cases)
        else:
            jobs.append(list(cases))
    return jobs


def read_known(path):
    known = {}
    if os.path.exists(path):
        for line in open(path, encoding="utf-8"):
            line = line.strip()
            if line and not line.startswith("#"):
                name, _, reason = line.partition("|")
                known[name.strip()] = reason.strip()
    return known


def say(text=""):
    print(text, flush=True)


def count(outcomes, names):
    return collections.Counter(outcomes[n].status for n in names if n in outcomes)


def table_row(name, counts):
    return f"{name:28}" + "".join(f"{'|':10}{n['passed']:>7}{n['failed']:>7}{n['skipped']:>8}  " for n in counts)


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else ""


def rerun(sides, name, hang_s):
    """Alone, up to three times on each side. Return: what it comes to, (native, berth)."""
    result = []
    for side in sides:
        for _ in range(RERUNS):
            outcome = run_names(side, [name], hang_s)[name]
            if outcome.status == "passed":
                break
        result.append(outcome)
        if outcome.status != "passed" and side is sides[0]:
            break
    return result


class Run:
    def __init__(self, args, sides):
        self.args, self.sides = args, sides
        self.outcomes = {side.name: {} for side in sides}
        self.suites = {}
        self.unsteady, self.not_held = [], []
        self.seconds = {side.name: 0.0 for side in sides}

    def all_jobs(self):
        jobs = []
        for suite in self.args.suite or SUITES:
            self.suites[suite] = list_cases(self.sides[0], suite)
            jobs += split(suite, self.suites[suite])
        return jobs

    def one(self, side, names):
        began = time.monotonic()
        self.outcomes[side.name].update(run_names(side, names, self.args.hang))
        self.seconds[side.name] += time.monotonic() - began

    def main_pass(self):
        jobs = self.all_jobs()
        with concurrent.futures.ThreadPoolExecutor(self.args.jobs) as pool:
            for f in [pool.submit(self.one, side, names) for names in jobs for side in self.sides]:
                f.result()

    def failing(self):
        native, berth = (self.outcomes[s.name] for s in self.sides)
        return [n for names in self.suites.values() for n in names
                if native[n].status == "passed" and berth[n].status != "passed"]

    def again(self, known):
        """Those that are not known to fail, and are not so many that something is wrong altogether."""
        native, berth = (self.outcomes[s.name] for s in self.sides)
        names = [n for n in self.failing() if n not in known]
        with concurrent.futures.ThreadPoolExecutor(self.args.jobs) as pool:
            for name, result in zip(names, pool.map(lambda n: rerun(self.sides, n, self.args.hang), names)):
                if result[0].status != "passed":
                    native[name] = result[0]
                    self.not_held.append(name)
                elif result[1].status == "passed":
                    self.unsteady.append((name, last_line(berth[name].why)))
                    berth[name] = result[1]
                else:
                    berth[name] = result[1]

    def table(self):
        columns = [s.name for s in self.sides]
        say(f"{'suite':28}" + "".join(f"{'| ' + c:10}{'passed':>7}{'failed':>7}{'skipped':>8}  " for c in columns))
        total = {c: collections.Counter() for c in columns}
        for suite, names in self.suites.items():
            counts = {c: count(self.outcomes[c], names) for c in columns}
            for c in columns:
                total[c].update(counts[c])
            say(table_row(suite, [counts[c] for c in columns]))
        say(table_row("all", [total[c] for c in columns]))

    def verdict(self, known):
        native, berth = (self.outcomes[s.name] for s in self.sides)
        failing = self.failing()
        n_native = sum(native[n].status == "passed" for names in self.suites.values() for n in names)
        percent = 100.0 * (n_native - len(failing)) / n_native if n_native else 0.0
        unlisted = [n for n in failing if n not in known]
        ran = {n for names in self.suites.values() for n in names}
        mended = [n for n in known if n in ran and native[n].status == "passed" and berth[n].status == "passed"]
        gone = [n for n in known if n not in ran and not self.args.suite]
        for name in failing:
            mark = "known " if name in known else "FAIL  "
            say(f"{mark} {name}: {known.get(name) or berth[name].status + ', ' + last_line(berth[name].why)}")
            if self.args.why and name not in known:
                say("\n".join("        " + line for line in berth[name].why.strip().splitlines()))
        for name, why in self.unsteady:
            say(f"unsteady {name}: failed in the suite ({why}), passed alone")
        for name in self.not_held:
            say(f"unsteady on the kernel, not counted: {name}")
        for name in mended:
            say(f"FAIL   {name} is in known.txt and passes: remove it there")
        for name in gone:
            say(f"FAIL   {name} is in known.txt and no such test case exists")
        say(f"{n_native - len(failing)} of {n_native} that pass natively pass under berth: {percent:.2f} %"
            f" (wanted: {WANTED_PERCENT:.0f} %)")
        return percent >= WANTED_PERCENT and not unlisted and not mended and not gone


def show(sides, names):
    """Test cases with what they print, one side after the other."""
    worst = 0
    for side in sides:
        place = tempfile.mkdtemp(dir=side.scratch)
        argv, env = side.command([WORKER, "--run"] + names, place)
        say(f"--- {side.name}: " + " ".join(argv[-len(names) - 5:]))
        code = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, check=False).returncode
        say(f"--- {side.name}: exit code {code}")
        worst = max(worst, abs(code))
    return 1 if worst else 0


def parse():
    p = argparse.ArgumentParser(usage="run.py BUILD [-s SUITE ...] [-t NAME ...] [options]")
    p.add_argument("build", help="the build folder")
    p.add_argument("-s", "--suite", nargs="+", default=[], help="only these suites (test_socket ...)")
    p.add_argument("-t", "--test", nargs="+", default=[], help="only these, printing what they print")
    p.add_argument("--side", choices=["both", "native", "berth"], default="both", help="with -t: on which side")
    p.add_argument("-j", "--jobs", type=int, default=max(2, os.cpu_count() or 2), help="workers at once")
    p.add_argument("--hang", type=float, default=60, help="seconds after which a silent test is ended")
    p.add_argument("--why", action="store_true", help="show the traceback of each new failure")
    p.add_argument("--json", help="write all outcomes into this file")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    return args


def installed():
    return os.path.exists(PYTHON) and subprocess.run(
        [PYTHON, "-c", "import test.test_socket"], capture_output=True, check=False).returncode == 0


def main():
    args = parse()
    if not installed():
        say("skipped: libpython3.11-testsuite is not installed")
        return 77
    scratch = tempfile.mkdtemp(prefix="berth-cpython-")
    prefix = netns_prefix()
    sides = [Side("native", scratch, prefix), Side("berth", scratch, [], args.build)]
    try:
        if args.test:
            return show([s for s in sides if args.side in ("both", s.name)], args.test)
        say(f"native: {'a network namespace for each worker' if prefix else 'the loopback of this machine'};"
            f" {'as root' if os.geteuid() == 0 else 'as an ordinary user'}")
        began = time.monotonic()
        known = read_known(os.path.join(HERE, "known.txt"))
        run = Run(args, sides)
        run.main_pass()
        run.again(known)
        run.table()
        good = run.verdict(known)
        say(f"{time.monotonic() - began:.0f} s, {args.jobs} workers at once")
        if args.json:
            with open(args.json, "w", encoding="utf-8") as f:
                json.dump({side: {n: o._asdict() for n, o in got.items()} for side, got in run.outcomes.items()}, f, indent=1)
        return 0 if good else 1
    finally:
        with running_lock:
            for process in running:
                end_group(process)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
