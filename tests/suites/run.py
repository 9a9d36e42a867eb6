#!/usr/bin/env python3
"""Other people's suites, on the kernel and under berth, test by test.

    tests/suites/run.py BUILD                 all of them: libuv node perl ruby tcl
    tests/suites/run.py BUILD libuv node      these
    tests/suites/run.py BUILD tcl -t NAME     one test, with what it prints

The tests come from Debian's source packages (apt-get source, with a list of sources of our own), kept in
BUILD/suites; the programs they are run with are the installed ones, but for libuv, which is built. A test is a
command; what ends with 0 has passed. Natively each runs in a network namespace of its own (root is needed for
that; else on the machine's loopback), under berth on a network of its own. What passes natively and fails twice
under berth is printed with the end of its output, unless known.txt has it (`SUITE NAME | reason`).

Exit code: 1, something failed that is not listed, or something listed passed; 77, nothing could be run.
"""
import argparse
import collections
import concurrent.futures
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
TIMEOUT_S = 120  # and libuv's own time limits are made five times as long, on both sides
OUTPUT_CHARS = 1500

Test = collections.namedtuple("Test", "name command")  # the command is one for sh


def say(text):
    print(text, flush=True)


def run(argv, cwd, timeout_s, **more):
    """Output and exit code of a command, which is ended with its process group."""
    p = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         start_new_session=True, **more)
    try:
        out, _ = p.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        try:
            out, _ = p.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            out = b""
        out += b"\n(ended after %d s)" % timeout_s
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    return p.returncode, out.decode(errors="replace")


# --- the sources ---

def fetch(package, kept, members=()):
    """The upstream source of a Debian package, unpacked (only what matches `members`, if any). Returns the folder."""
    place = os.path.join(kept, package)
    if not os.path.isdir(place):
        work = place + ".new"
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(os.path.join(work, "lists", "partial"))
        release = dict(re.findall(r'^(\w+)="?([^"\n]*)', open("/etc/os-release", encoding="utf-8").read(), re.M))
        with open(os.path.join(work, "sources.list"), "w", encoding="utf-8") as f:
            f.write(f"deb-src http://deb.debian.org/debian {release['VERSION_CODENAME']} main\n")
        apt = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
               "-o", f"Dir::State::Lists={work}/lists", "-o", f"Dir::Cache={work}", "-o", "APT::Sandbox::User=root"]
        for step in (["update"], ["source", "--download-only", package]):
            code, out = run(apt + step, work, 600)
            if code != 0:
                sys.exit(f"cannot fetch the source of {package}:\n{out[-1500:]}")
        archive = [a for a in glob.glob(work + "/*.orig.tar.*") if not a.endswith(".asc")][0]
        argv = ["tar", "xf", archive] + (["--wildcards"] + list(members) if members else [])
        run(argv, work, 300)
        os.rename(work, place)
    return [d for d in glob.glob(place + "/*/") if os.path.basename(d[:-1]) not in ("lists", "archives")][0]


def each(top, patterns, command):
    """A test for each file; {} in the command is its path."""
    files = sorted(f for p in patterns for f in glob.glob(os.path.join(top, p)))
    return [Test(os.path.relpath(f, top), command.replace("{}", os.path.relpath(f, top))) for f in files]


# --- the suites: each gives a folder to run in and its tests ---

def libuv(kept):
    """As an ordinary user: libuv's tests refuse to be run as root."""
    top = fetch("libuv1", kept)
    built = os.path.join(top, "b")
    if not os.path.exists(os.path.join(built, "uv_run_tests")):
        os.makedirs(built, exist_ok=True)
        for step in (["cmake", "..", "-DCMAKE_BUILD_TYPE=Release"], ["make", "-j2", "uv_run_tests"]):
            code, out = run(step, built, 900)
            if code != 0:
                sys.exit(f"libuv does not build:\n{out[-1500:]}")
        run(["chmod", "-R", "a+rwX", top], top, 60)
    names = run((NOBODY if os.geteuid() == 0 else []) + ["./uv_run_tests", "--list"], built, 60)[1].split("\n")
    return built, [Test(n.split()[0], "./uv_run_tests " + n.split()[0]) for n in names if n.split()]


def node(kept):
    top = fetch("nodejs", kept, ["*/test/parallel/*", "*/test/sequential/*", "*/test/common/*", "*/test/fixtures/*"])
    patterns = [f"test/{folder}/test-{what}-*.js" for folder in ("parallel", "sequential")
                for what in ("net", "dgram", "cluster", "http", "https", "tls")]
    return top, each(top, patterns, "node --expose-internals --expose-gc {}")


def perl(kept):
    top = fetch("perl", kept, ["*/t/*"])
    tests = []
    for folder in ("dist/IO", "cpan/IO-Socket-IP", "cpan/Socket", "cpan/libnet", "dist/Net-Ping", "cpan/HTTP-Tiny"):
        for t in each(os.path.join(top, folder), ["t/*.t"], "perl -It/lib -It {}"):
            tests.append(Test(f"{folder}/{t.name}", f"cd {folder} && {t.command}"))
    return top, tests + each(top, ["t/io/sock*.t"], "cd t && perl ../{}")


def ruby(kept):
    top = fetch("ruby3.1", kept, ["*/test/*", "*/tool/*"])
    patterns = ["test/socket/test_*.rb", "test/net/*/test_*.rb", "test/drb/test_*.rb", "test/resolv/test_*.rb", "test/io/*/test_*.rb"]
    return top, each(top, patterns, "ruby -Itool/lib -Itest tool/test/runner.rb -v {}")


def tcl(kept):
    """Without socket-2.13: it writes 720,000 times one octet, of which TCP makes few segments and AF_UNIX takes
    some 11,000 (docs/shim.md, 8), and gives the rest 5 ms."""
    top = os.path.join(fetch("tcl8.6", kept, ["*/tests/*"]), "tests")
    command = ("tclsh8.6 %s.test -skip 'socket_inet*-2.13' 2>&1 | tee result-$$;"
               " r=$(grep -c 'FAILED$' result-$$); rm -f result-$$; test $r = 0")
    return top, [Test(t, command % t) for t in ("socket", "http", "chanio", "io", "event")]


SUITES = {"libuv": (libuv, "cmake", 1), "node": (node, "node", 2), "perl": (perl, "perl", 2), "ruby": (ruby, "ruby", 2),
          "tcl": (tcl, "tclsh8.6", 1)}


# --- running ---

class Sides:
    def __init__(self, build):
        self.berth = os.path.join(build, "src", "cli", "berth")
        self.netns = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
        if subprocess.run(self.netns + ["true"], capture_output=True, check=False).returncode != 0:
            self.netns = []

    def run(self, suite, side, top, test):
        place = tempfile.mkdtemp(prefix="berth-suite-")
        user = NOBODY if suite == "libuv" and os.geteuid() == 0 else []
        if user:
            os.chown(place, 65534, 65534)
        env = dict(os.environ, TMPDIR=place, HOME=place, NODE_TEST_DIR=place, UV_TEST_TIMEOUT_MULTIPLIER="5", BERTH_DIR=os.path.join(place, "berth"))
        command = ["sh", "-c", test.command]
        if side == "native":
            argv = self.netns + user + command
        else:
            argv = user + [self.berth, "run", "-q", "--"] + command
        code, out = run(argv, top, TIMEOUT_S, env=env)
        shutil.rmtree(place, ignore_errors=True)
        return code, out

    def both(self, suite, top, test):
        """Return: native passed, berth passed (within two tries), what it said."""
        if self.run(suite, "native", top, test)[0] != 0:
            return False, False, ""
        for _ in range(2):
            code, out = self.run(suite, "berth", top, test)
            if code == 0:
                return True, True, ""
        return True, False, out


def main():
    p = argparse.ArgumentParser(usage="run.py BUILD [SUITE ...] [-t NAME]")
    p.add_argument("build")
    p.add_argument("suite", nargs="*")
    p.add_argument("-t", "--test")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    sides, ran, good = Sides(args.build), 0, True
    kept = os.path.join(args.build, "suites")
    known = {}
    for line in open(os.path.join(HERE, "known.txt"), encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            known[line.partition("|")[0].strip()] = line.partition("|")[2].strip()
    for name in args.suite or SUITES:
        make, program, jobs = SUITES[name]
        if not shutil.which(program):
            say(f"{name}: skipped, {program} is not installed")
            continue
        top, tests = make(kept)
        if args.test:
            for test in tests:
                for side in ("native", "berth") if test.name == args.test else ():
                    code, out = sides.run(name, side, top, test)
                    say(f"--- {side}\n{out}\n--- {side}: exit code {code}")
            continue
        n = collections.Counter()
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for test, (native, berth, out) in zip(tests, pool.map(lambda t: sides.both(name, top, t), tests)):
                n["native"] += native
                n["both"] += native and berth
                key = f"{name} {test.name}"
                if native and not berth:
                    good = good and key in known
                    say(f"known {key}: {known[key]}" if key in known else f"FAIL {key}\n" + out.strip()[-OUTPUT_CHARS:])
                elif native and key in known:
                    good = False
                    say(f"FAIL {key} is in known.txt and passes")
        ran += 1
        say(f"{name}: {len(tests)} tests, {n['native']} pass natively, {n['both']} of them under berth")
    return 77 if not ran and not args.test else 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
