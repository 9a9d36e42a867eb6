#!/usr/bin/env python3
"""tests/free/examples.py BERTH EXAMPLES LIBRARY_FOLDER HEADERS: the examples of docs/free.md, as they stand there.

Each is run with berth on its PATH; what a machine does not have is skipped by name. In C it is built with the static
library, with the shared one, and as C++.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

berth, examples, libs, headers = map(os.path.realpath, sys.argv[1:5])
work = tempfile.mkdtemp(prefix="berth-examples-")
os.mkdir(work + "/bin")
os.symlink(berth, work + "/bin/berth")
shutil.copytree(examples, work + "/free")
env = {k: v for k, v in os.environ.items() if not k.startswith(("BERTH_", "MAKE", "MFLAGS"))}
env.update(PATH=work + "/bin:" + env["PATH"], LC_ALL="C", PYTHONDONTWRITEBYTECODE="1")
failed = ran = 0


def run(name, argv, want=None, **more):
    """Its output, when it ended well and said what is wanted."""
    global failed, ran
    ran += 1
    r = subprocess.run(argv, cwd=work + "/free", env={**env, **more}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=100)
    if r.returncode != 0 or (want and want not in r.stdout):
        failed += 1
        print(f"FAIL {name} (exit code {r.returncode}):\n{r.stdout}")
    else:
        print(f"ok   {name}")


def same(name, got, want):
    global failed, ran
    ran += 1
    failed += got != want
    print(f"ok   {name}" if got == want else f"FAIL {name}: {got}")


def skip(name, why):
    print(f"skip {name}: {why}")


def python_with_pytest():
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run([python, "-m", "pytest", "--version"], capture_output=True, env=env).returncode == 0:
            return python
    return None


try:
    run("serve.sh", ["./serve.sh"], "a server answered")
    if shutil.which("make"):
        run("Makefile", ["make", "-j4", "test"], "test four had two ports of its own")
    else:
        skip("Makefile", "no make")
    python = python_with_pytest()
    if python:
        run("pytest", [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_server.py"], "3 passed")
    else:
        skip("pytest", "no pytest (package python3-pytest)")
    node = shutil.which("node")
    if node and int(subprocess.run([node, "-p", "parseInt(process.versions.node)"], capture_output=True, text=True).stdout or 0) >= 18:
        run("node --test", [node, "--test", "server.test.mjs"])
    else:
        skip("node --test", "no node, or older than 18 (package nodejs)")
    cc = shutil.which("cc")
    if cc:
        shared = [os.path.join(libs, "libberth-port.so"), "-Wl,-rpath," + libs]
        flags = ["-Wall", "-Wextra", "-Werror", "-I" + headers]
        run("reserve.c, shared", [cc, *flags, "reserve.c", "-o", work + "/shared", *shared])
        run("reserve.c, shared, runs", [work + "/shared"], "a server answered")
        run("reserve.c, static", [cc, *flags, "reserve.c", "-o", work + "/static", "-static", os.path.join(libs, "libberth-port.a")])
        run("reserve.c, static, runs", [work + "/static"], "a server answered")
        for std in ("c99", "c11", "gnu17"):
            run(f"port.h as {std}", [cc, "-std=" + std, "-Wpedantic", *flags, "-fsyntax-only", "-x", "c", headers + "/berth/port.h"])
    else:
        skip("reserve.c", "no cc")
    if shutil.which("nm"):
        def names(*what):
            out = subprocess.run(["nm", "-P", *what], capture_output=True, text=True, check=True).stdout
            return sorted(line.split()[0] for line in out.splitlines() if len(line.split()) > 2 and line.split()[1] in "TDBRVW")
        calls = ["berth_port_drop", "berth_port_reserve", "berth_port_socket"]
        same("the static library shows its three calls and nothing else", names("-g", "--defined-only", libs + "/libberth-port.a"), calls)
        same("and the shared one, versioned", names("-D", "--defined-only", libs + "/libberth-port.so"),
             [c + "@@BERTH_PORT_1" for c in calls])
    else:
        skip("names of the libraries", "no nm (package binutils)")
    if shutil.which("c++"):
        run("port.h as C++", ["c++", "-Wall", "-Werror", "-Wno-pragma-once-outside-header", "-I" + headers, "-fsyntax-only", "-x", "c++",
                              headers + "/berth/port.h"])
    else:
        skip("port.h as C++", "no c++")
    run("static, inside a network", [berth, "run", "-n", "examples", "--", work + "/static"], "a server answered",
        BERTH_DIR=work + "/berth")
finally:
    shutil.rmtree(work)
print(f"{ran} examples, {failed} failed")
sys.exit(1 if failed else 0 if ran else 77)
