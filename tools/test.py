#!/usr/bin/env python3
"""Runs the tests and counts them.

    tools/test.py             everything (`make test`)
    tools/test.py check       what is quick: build, unit, golden, format, layers, docs (`make check`)
    tools/test.py san         the sanitizer build: unit, crash, packetdrill, simulator, examples, fuzz corpora (`make san`)
    tools/test.py fuzz-smoke  each fuzz target on its corpus and a short run (`make fuzz-smoke`)
    tools/test.py cross       everything compiled for arm64 (`make cross`)
    tools/test.py programs    real servers and clients under berth (`make test-programs` installs them first)
    tools/test.py --list      the steps and which of the above they belong to
    tools/test.py STEP...     those steps

One line per test as it ends: "ok NAME", "FAIL NAME" (its output follows) or "skip NAME: what this
machine lacks". The last line is "N passed, N failed, N skipped", alone. Exit code 1 when one failed.

Tests that meson knows are run by meson and counted from its log; of one that speaks TAP each of its own
tests counts. Exit code 77 is a skipped test, whose last line of output says why. A step that cannot even
start (the build is broken) is a failed test.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = "build"
SAN = "build-san"
CROSS = "build-arm64"
SKIP = 77
LOG_LINES = 60
# A fuzz target in `make test`: all of its corpus, then this many new inputs, and never longer than this.
FUZZ_RUNS = int(os.environ.get("BERTH_FUZZ_RUNS", "100000"))
FUZZ_SECONDS = int(os.environ.get("BERTH_FUZZ_SECONDS", "12"))
FUZZ_FAULT = "-error_exitcode=1"  # libFuzzer's own is SKIP
# A line of a test that speaks TAP: one of its own tests.
TAP_LINE = re.compile(r"^(not )?ok \d+\b[^#]*(#\s*[Ss][Kk][Ii][Pp])?")
# Sanitizers and the preload library do not mix in one process, so only these suites run under them, and of the stack's all but what is
# long, or looks at the libraries as they are installed.
SAN_SUITES = ("unit", "golden", "crash")
SAN_STACK_SUITES = ("stack", "sim")
SAN_STACK_WITHOUT = ("stack-no-globals", "stack-seq-proof", "sim", "throughput")
SAN_SIM = ["--seeds", "150", "--seconds", "40", "--jobs", "2"]
QUICK_SUITES = ("unit", "golden", "cli")


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def ok(self, name, seconds=None, n=1):
        self.passed += n
        say(f"ok   {name}" + (f": {n} tests" if n > 1 else "") + (f" ({seconds:.1f} s)" if seconds is not None and seconds >= 0.1 else ""))

    def fail(self, name, output, seconds=None):
        self.failed += 1
        say(f"FAIL {name}" + (f" ({seconds:.1f} s)" if seconds is not None else ""))
        lines = output.rstrip().splitlines()
        if len(lines) > LOG_LINES:
            say(f"     ... {len(lines) - LOG_LINES} lines before these")
        for line in lines[-LOG_LINES:]:
            say("     " + line)

    def skip(self, name, why):
        self.skipped += 1
        say(f"skip {name}: {why}")


def say(text):
    print(text, flush=True)


def run(argv, timeout, env=None, stdin=subprocess.DEVNULL):
    """(exit code, output, seconds). The whole process group is ended when time is up."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(argv, cwd=ROOT, env=env, stdin=stdin, stdout=out, stderr=subprocess.STDOUT,
                             start_new_session=True)
        try:
            code = p.wait(timeout)
            late = ""
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            code, late = 124, f"\nstopped after {timeout} s"
        out.seek(0)
        text = out.read().decode("utf-8", "replace") + late
    return code, text, time.monotonic() - started


def last_line(text):
    lines = [x.strip() for x in text.splitlines() if x.strip()]
    return lines[-1] if lines else ""


def command(count, name, argv, timeout=300, env=None):
    """A command is a test: 0 passed, 77 skipped, else failed."""
    return judge(count, name, argv, *run(argv, timeout, env))


def judge(count, name, argv, code, out, seconds):
    if code == 0:
        count.ok(name, seconds)
    elif code == SKIP:
        count.skip(name, last_line(out) or "it does not say why")
    else:
        count.fail(name, out + f"\n(exit code {code}: {' '.join(argv)})", seconds)
    return code == 0


def lacking(*tools):
    return [t for t in tools if not shutil.which(t)]


def sanitizer_env():
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    return env


built = {}  # build directory -> did it build


def source_of(directory):
    """The tree a build folder was made in: a copied one still means the old."""
    try:
        with open(os.path.join(directory, "meson-info", "meson-info.json"), encoding="utf-8") as f:
            return json.load(f)["directories"]["source"]
    except (OSError, ValueError, KeyError):
        return None


def build(count, directory, label, options, cc=None):
    """Set up once, then build. Remembers the answer, so that steps can share a build."""
    if directory in built:
        return built[directory]
    env = dict(os.environ)
    if cc:
        env["CC"] = cc
    name = f"build: {label}"
    here = os.path.join(ROOT, directory)
    if not os.path.exists(os.path.join(here, "build.ninja")) or source_of(here) != ROOT:
        shutil.rmtree(here, ignore_errors=True)
        code, out, seconds = run(["meson", "setup", directory, *options], 300, env)
        if code != 0:
            count.fail(name, out, seconds)
            built[directory] = False
            return False
    elif "-Dtests=false" not in options:
        # `make build` and `make demo` leave the tests out on a machine without cmocka.
        code, out, seconds = run(["meson", "configure", directory, "-Dtests=true"], 300, env)
        if code != 0:
            count.fail(name, out, seconds)
            built[directory] = False
            return False
    code, out, seconds = run(["ninja", "-C", directory], 900, env)
    if code == 0:
        count.ok(name, seconds)
    else:
        count.fail(name, out, seconds)
    built[directory] = code == 0
    return code == 0


def build_gcc(count):
    return build(count, BUILD, "gcc", [])


SAN_OPTIONS = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dslow_checks=true", "-Dfuzz=true",
               "-Dbench=false", "-Doptimization=1", "-Dc_args=-fno-sanitize-recover=all"]


def build_san(count):
    missing = lacking("clang")
    if missing:
        if SAN not in built:
            count.skip("build: clang, address and undefined behaviour sanitizers", "no clang")
        built[SAN] = None
        return None
    return build(count, SAN, "clang, address and undefined behaviour sanitizers, slow checks", SAN_OPTIONS, "clang")


def meson_suites(directory):
    out = subprocess.run(["meson", "introspect", "--tests", directory], cwd=ROOT, capture_output=True, text=True,
                         check=True).stdout
    return {s.split(":")[-1] for t in json.loads(out) for s in t["suite"]}


def meson_names(directory, suites, without=()):
    """The tests of these suites."""
    out = subprocess.run(["meson", "introspect", "--tests", directory], cwd=ROOT, capture_output=True, text=True,
                         check=True).stdout
    return {t["name"] for t in json.loads(out) if {s.split(":")[-1] for s in t["suite"]} & set(suites)} - set(without)


def meson_tests(count, directory, label, only=None, without=(), env=None, multiplier=1, names=None, wrapper=None):
    """Run a build's tests by meson (those called names, if there are any); one count for each test of its log."""
    have = meson_suites(directory)
    chosen = (have if only is None else have & set(only)) - set(without)
    if not chosen or (names is not None and not names):
        count.fail(f"{label}: tests", f"{directory} has no test of the suites {only}: nothing was tested")
        return
    argv = ["meson", "test", "-C", directory, "--no-rebuild", "-t", str(multiplier)]
    if wrapper:
        argv += ["--wrapper", wrapper]
    if names is not None:
        argv += sorted(names)
    else:
        for s in sorted(chosen):
            argv += ["--suite", s]
    log = os.path.join(ROOT, directory, "meson-logs", f"testlog-{wrapper.split()[0]}.json" if wrapper else "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    code, out, seconds = run(argv, 900, env)
    rows = []
    if os.path.exists(log):
        with open(log, encoding="utf-8") as f:
            rows = [json.loads(line) for line in f if line.strip()]
    for row in sorted(rows, key=lambda r: r["name"]):
        name = f"{label}: {row['name'].split(' / ')[-1]}"
        text = (row.get("stdout") or "") + (row.get("stderr") or "")
        result = row["result"]
        tap = [m.groups() for m in map(TAP_LINE.match, text.splitlines()) if m]
        n_ok = sum(1 for bad, skipped in tap if not bad and not skipped)
        # cmocka writes "not ok N # SKIP" for a test that skipped itself, which meson takes for a failure.
        only_skips = (result == "FAIL" and row.get("returncode") == 0 and any(s for _, s in tap)
                      and not any(bad and not s for bad, s in tap))
        if result in ("OK", "EXPECTEDFAIL") or (only_skips and n_ok):
            count.ok(name, row["duration"], max(n_ok, 1))
            count.skipped += sum(1 for _, skipped in tap if skipped)
        elif only_skips:
            count.skip(name, f"none of its {len(tap)} tests can run here (namespaces, rights or what /proc shows)")
        elif result == "SKIP" or row.get("returncode") == SKIP:
            count.skip(name, last_line(text) or "it does not say why")
        else:
            count.fail(name, text + f"\n({result}, exit code {row.get('returncode')})", row["duration"])
            count.passed += n_ok
            count.failed += max(sum(1 for bad, skipped in tap if bad and not skipped) - 1, 0)
    if not rows or (code != 0 and all(r["result"] in ("OK", "EXPECTEDFAIL", "SKIP") for r in rows)):
        count.fail(f"{label}: meson test", out, seconds)


# --- the steps ---

def step_unit(count):
    if build_gcc(count):
        meson_tests(count, BUILD, "gcc", only=QUICK_SUITES)


def step_meson(count):
    if build_gcc(count):
        meson_tests(count, BUILD, "gcc")


def step_clang(count):
    if lacking("clang"):
        count.skip("build: clang", "no clang")
        return
    build(count, "build-clang", "clang", [], "clang")


def step_digests(count):
    """The same seeds, the same worlds, whoever compiled them: every frame, event and time (tests/sim)."""
    if lacking("clang"):
        count.skip("sim: digests of gcc and clang", "no clang")
        return
    if not build_gcc(count) or not build(count, "build-clang", "clang", [], "clang"):
        return
    texts = []
    for directory in (BUILD, "build-clang"):
        code, out, seconds = run([os.path.join(ROOT, directory, "tests/sim/sim"), "--digest", "--seeds", "150"], 300)
        texts.append(out.splitlines())
        if code != 0:
            count.fail(f"sim: digests of {directory}", out, seconds)
            return
    if texts[0] == texts[1] and len(texts[0]) >= 150:
        count.ok(f"sim: {len(texts[0])} worlds have the same digest with gcc and clang")
    else:
        different = [f"{a} | {b}" for a, b in zip(*texts) if a != b]
        count.fail("sim: digests of gcc and clang", "\n".join(different[:10]) or "no worlds")


def step_sanitizers(count):
    if build_san(count):
        meson_tests(count, SAN, "sanitizers", only=SAN_SUITES, env=sanitizer_env(), multiplier=5)
        sanitized_stack(count)


def sanitized_stack(count):
    """The simulator, the stack's examples, and packetdrill's scripts."""
    names = meson_names(SAN, SAN_STACK_SUITES, SAN_STACK_WITHOUT)
    meson_tests(count, SAN, "sanitizers", names=names, env=sanitizer_env(), multiplier=5)
    command(count, "sanitizers: sim " + " ".join(SAN_SIM[:2]), [os.path.join(ROOT, SAN, "tests/sim/sim"), *SAN_SIM], 300, sanitizer_env())
    # The library is loaded into python, which has no sanitizer: its runtime is loaded first. What python leaks is not ours.
    out = subprocess.run(["clang", f"-print-file-name=libclang_rt.asan-{os.uname().machine}.so"], capture_output=True, text=True).stdout
    runtime = out.strip()
    if not os.path.isabs(runtime) or not os.path.exists(runtime):
        count.skip("sanitizers: packetdrill", "clang has no shared runtime of the address sanitizer (package libclang-rt-dev or libclang-common-dev)")
        return
    env = sanitizer_env()
    env["ASAN_OPTIONS"] += ":detect_leaks=0"
    # pdrill_role loads it as packetdrill does, with RTLD_DEEPBIND, which sanitizers refuse.
    meson_tests(count, SAN, "sanitizers", names=meson_names(SAN, ("packetdrill",), ("pdrill_role",)), env=env, multiplier=5, wrapper=f"env LD_PRELOAD={runtime}")


def fuzz_targets():
    wanted = "fuzz_" + (os.environ.get("BERTH_FUZZ_TARGET") or "*")
    return sorted(p for p in glob.glob(os.path.join(ROOT, SAN, "fuzz", wanted))
                  if os.access(p, os.X_OK) and os.path.isfile(p))


def fuzz_one(path, runs, seconds):
    """What is to be judged of a target: (name, arguments, exit code, output, seconds) of its corpus and of new inputs."""
    target = os.path.basename(path)
    corpus = os.path.join(ROOT, "fuzz", "corpus", target.removeprefix("fuzz_"))
    scratch = tempfile.mkdtemp(prefix="berth-fuzz-")
    rows = []
    try:
        seeds = sorted(glob.glob(os.path.join(corpus, "*")))
        if seeds:
            argv = [path, FUZZ_FAULT, *seeds]
            rows.append((f"fuzz: {target}: {len(seeds)} inputs of its corpus", [path, "..."], *run(argv, 300, sanitizer_env())))
        # New inputs go to the scratch folder; the corpus in the repository only grows by hand.
        new = os.path.join(scratch, "new")
        os.mkdir(new)
        argv = [path, FUZZ_FAULT, f"-runs={runs}", f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=20",
                f"-artifact_prefix={scratch}/", new] + ([corpus] if seeds else [])
        code, out, took = run(argv, seconds + 120, sanitizer_env())
        units = re.search(r"stat::number_of_executed_units: *(\d+)", out)
        for artifact in glob.glob(os.path.join(scratch, "*-*")):
            kept = os.path.join(ROOT, SAN, os.path.basename(artifact))
            shutil.copy(artifact, kept)
            out += f"\nreplay: {os.path.relpath(path, ROOT)} {os.path.relpath(kept, ROOT)}"
        none = not units or int(units.group(1)) == 0
        rows.append((f"fuzz: {target}: {units.group(1) if units else 'no'} new inputs", argv, code or int(none), out, took))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return rows


def step_fuzz(count, runs=FUZZ_RUNS, seconds=FUZZ_SECONDS):
    """One target on each processor."""
    ready = build_san(count)
    if not ready:
        return
    targets = fuzz_targets()
    if not targets:
        count.fail("fuzz", f"no fuzz target in {SAN}/fuzz")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for rows in pool.map(lambda path: fuzz_one(path, runs, seconds), targets):
            for row in rows:
                judge(count, *row)


def step_layers(count):
    command(count, "layers: self-test", ["tools/layers.py", "--self-test"])
    if build_gcc(count):
        command(count, "layers", ["tools/layers.py", "--build", BUILD])
    else:
        command(count, "layers", ["tools/layers.py"])


def step_docs(count):
    command(count, "stack docs: self-test", ["tools/stack_docs.py", "--self-test"])
    command(count, "stack docs", ["tools/stack_docs.py"])


def step_format(count):
    command(count, "format", ["tools/format.sh", "--check"])


def step_demo(count):
    missing = lacking("python3", "curl")
    if missing:
        count.skip("demo", f"no {', '.join(missing)}")
    elif build_gcc(count):
        command(count, "demo", ["tests/system/demo.sh", BUILD], 180)


def step_install(count):
    if build_gcc(count):
        command(count, "install", ["tests/system/install.sh", BUILD], 400)


def step_package(count):
    command(count, "package", ["tests/system/package.sh"], 900)


# A line of tests/programs/run: one row of the matrix.
ROW_LINE = re.compile(r"^(PASS|FAIL|SKIP) ")
PROGRAMS_SECONDS = 1500


def step_programs(count):
    """tests/programs prints its rows itself, as they end; they are only counted here."""
    if not build_gcc(count):
        return
    argv = ["tests/programs/run", "--build", os.path.join(ROOT, BUILD)]
    p = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         start_new_session=True)
    # TERM, not KILL: the runner ends what it has started
    late = threading.Timer(PROGRAMS_SECONDS, lambda: p.send_signal(signal.SIGTERM))
    late.start()
    n, last = {"PASS": 0, "FAIL": 0, "SKIP": 0}, ""
    for line in p.stdout:
        row = ROW_LINE.match(line)
        if row:
            n[row[1]] += 1
        if row or line.startswith(" "):
            say(line.rstrip())
        last = line.strip() or last
    code = p.wait()
    late.cancel()
    count.passed += n["PASS"]
    count.failed += n["FAIL"]
    count.skipped += n["SKIP"]
    if last != f"{n['PASS']} passed, {n['FAIL']} failed, {n['SKIP']} skipped" or (code != 0) != (n["FAIL"] > 0):
        count.fail("programs", f"{last}\n(exit code {code}: the matrix did not come to its end)")


def step_cross(count):
    cc = "aarch64-linux-gnu-gcc"
    if lacking(cc):
        count.skip("cross: arm64", f"no {cc}")
        return
    options = ["--cross-file", "cross/aarch64.ini", "-Dtests=false", "-Dbench=false", "-Dcli=false"]
    if not build(count, CROSS, "arm64: heart, network, shim", options):
        return
    command(count, "layers: arm64", ["tools/layers.py", "--build", CROSS])
    # The command needs libjansson, which has no arm64 package for a cross compiler. Its headers do not
    # depend on the processor, so it is compiled all the same and only not linked.
    command(count, "build: arm64: cli, compiled and not linked", ["tools/cross-cli.sh", cc, CROSS])


# name, function, which of the runs it is part of
STEPS = [
    ("format", step_format, {"check", "all"}),
    ("layers", step_layers, {"check", "all"}),
    ("docs", step_docs, {"check", "all"}),
    ("unit", step_unit, {"check"}),
    ("meson", step_meson, {"all"}),
    ("clang", step_clang, {"all"}),
    ("digests", step_digests, {"all"}),
    ("sanitizers", step_sanitizers, {"all", "san"}),
    ("fuzz", step_fuzz, {"all", "san", "fuzz-smoke"}),
    ("demo", step_demo, {"all"}),
    ("install", step_install, {"all"}),
    ("package", step_package, set()),  # two minutes and root: make test-package
    ("programs", step_programs, {"all"}),
    ("cross", step_cross, {"all", "cross"}),
]


def main():
    p = argparse.ArgumentParser(description="run berth's tests", epilog="without arguments: all of them")
    p.add_argument("what", nargs="*", default=["all"], help="all, check, san, fuzz-smoke, cross, or names of steps")
    p.add_argument("--list", action="store_true", help="print the steps")
    a = p.parse_args()
    if a.list:
        for name, _, runs in STEPS:
            say(f"{name:12} {' '.join(sorted(runs))}")
        return 0
    known = {s[0] for s in STEPS}.union(*[s[2] for s in STEPS])
    for w in a.what:
        if w not in known:
            p.error(f"no such step: {w} (--list prints them)")
    count = Count()
    started = time.monotonic()
    for name, step, runs in STEPS:
        if name in a.what or runs & set(a.what):
            try:
                step(count)
            except Exception as e:  # a step that breaks must not hide the others
                count.fail(name, f"{type(e).__name__}: {e}")
    say(f"{time.monotonic() - started:.0f} s")
    say(f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    if count.passed + count.failed == 0:
        return 1
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main())
