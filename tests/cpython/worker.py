"""Runs test cases of CPython's own suites in one process and writes down what became of each.

    python3.11 worker.py --list MODULE...            the names of all test cases, one a line
    python3.11 worker.py REPORT NAMES                runs the test cases named in the file NAMES
    python3.11 worker.py --run NAME...               runs them and prints what unittest prints

run.py starts it, natively and under `berth run`; it knows nothing of either. REPORT gets one JSON object
a line, flushed at once, so that whoever watches sees which test a hung or killed process was in:

    {"start": NAME}
    {"end": NAME, "status": "passed" | "failed" | "skipped", "seconds": S, "why": TEXT}

A test case that never ran because its class or module could not be set up ends with what the set-up
ended with. Expected failures count as passed, unexpected successes as failed, as in unittest itself.
"""
import json
import os
import sys
import tempfile
import time
import traceback
import unittest

# What regrtest's -u would name. Not "network" and "urlfetch", as no test may need the internet; but
# test_socketserver asks for "network" as a whole, and means the loopback.
RESOURCES = ["cpu", "subprocess", "walltime"]
NETWORK_MODULES = ("test.test_socketserver",)
WHY_CHARS = 1500


def cases_in(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from cases_in(item)
        else:
            yield item


def modules_of(names):
    """The modules the names are in, in their order: the longest prefix of each that can be imported."""
    import importlib.util

    found = []
    for name in names:
        parts = name.split(".")
        while parts:
            try:
                if importlib.util.find_spec(".".join(parts)):
                    break
            except (ImportError, AttributeError):
                pass
            parts.pop()
        module = ".".join(parts)
        if module and module not in found:
            found.append(module)
    return found


def load(names):
    loader = unittest.TestLoader()
    return [case for name in names for case in cases_in(loader.loadTestsFromName(name))]


class Report(unittest.TestResult):
    def __init__(self, file):
        super().__init__()
        self.file = file
        self.began_s = {}
        self.ended = set()
        self.holders = []  # (id of a class or module that could not be set up, status, why)

    def put(self, **what):
        self.file.write(json.dumps(what) + "\n")
        self.file.flush()

    def end(self, test, status, why=""):
        if not isinstance(test, unittest.TestCase):  # an _ErrorHolder: "setUpClass (module.Class)"
            self.holders.append((test.id().partition("(")[2].rstrip(")"), status, why))
            return
        name = test.id()
        if name in self.ended and status != "failed":
            return
        self.ended.add(name)
        self.put(end=name, status=status, seconds=round(time.monotonic() - self.began_s.get(name, time.monotonic()), 3),
                 why=why[-WHY_CHARS:])

    def startTest(self, test):
        super().startTest(test)
        self.began_s[test.id()] = time.monotonic()
        self.put(start=test.id())

    def addSuccess(self, test):
        self.end(test, "passed")

    def addError(self, test, err):
        self.end(test, "failed", "".join(traceback.format_exception(*err)))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.end(test, "failed", f"{subtest}\n" + "".join(traceback.format_exception(*err)))

    def addSkip(self, test, reason):
        self.end(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self.end(test, "passed")

    def addUnexpectedSuccess(self, test):
        self.end(test, "failed", "unexpected success")

    def finish(self, names):
        """What never started shares the fate of its class or module."""
        for name in names:
            if name in self.ended:
                continue
            status, why = "failed", "it did not run"
            for where, holder_status, holder_why in self.holders:
                if name.startswith(where + "."):
                    status, why = holder_status, holder_why
            self.put(end=name, status=status, seconds=0, why=why[-WHY_CHARS:])


def prepare(names):
    """What regrtest does before a suite: its resources, and a working directory of its own."""
    from test import support

    network = bool(names) and all(name.startswith(NETWORK_MODULES) for name in names)
    support.use_resources = RESOURCES + ["network"] * network
    support.verbose = False
    home = tempfile.mkdtemp(prefix="cpython-")
    os.chdir(home)
    return home


def run(names, result):
    """Class by class and module by module, so that their fixtures are set up once."""
    wanted = set(names)
    cases = {case.id(): case for case in load(modules_of(names)) if case.id() in wanted}
    unittest.TestSuite(cases[n] for n in names if n in cases).run(result)


def main(argv):
    if argv[0] == "--list":
        prepare(argv[1:])
        try:
            cases = load(argv[1:])
        except unittest.SkipTest as why:  # the module as a whole: this machine lacks something
            print(f"{argv[1]}: {why}", file=sys.stderr)
            cases = []
        for case in cases:
            if type(case).__name__ == "_FailedTest":
                case.debug()  # raises what went wrong when its module was loaded
            if type(case).__name__ != "ModuleSkipped":  # test_asyncio's for Windows
                print(case.id())
        return 0
    if argv[0] == "--run":
        prepare(argv[1:])
        runner = unittest.TextTestRunner(verbosity=2)
        suite = unittest.TestLoader().loadTestsFromNames(argv[1:])
        return not runner.run(suite).wasSuccessful()
    report = open(argv[0], "a", encoding="utf-8")
    names = open(argv[1], encoding="utf-8").read().split()
    prepare(names)
    result = Report(report)
    run(names, result)
    result.finish(names)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
