#!/usr/bin/env python3
"""Checks that each folder of src/ stands only on what lies below it.

    tools/layers.py [--build DIR]    includes; with --build also the symbols of what was built there
    tools/layers.py --self-test      break every rule once in a scratch tree; each must be noticed

Three things are checked:
  includes   #include "folder/file.h" obeys ALLOWED, names its folder, and the file exists
  headers    #include <...> in the layers that live in other people's processes is libc's or the kernel's;
             in the heart only what a function without I/O needs
  symbols    the heart's archive calls nothing but itself, base/ and the functions in HEART_CALLS;
             the shim and libberth-port need no library but libc

Prints one line per check: "ok NAME" or "FAIL NAME" with the places. Exit code 1 when one failed.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Which folders a folder may include, besides itself.
ALLOWED = {
    "base": set(),
    "port": {"base"},
    "wire": {"base", "port"},
    "stack": {"base", "port", "wire"},
    "link": {"base", "port", "wire"},
    "dhcp": {"base"},
    "network": {"base", "port"},
    "host": {"base", "port"},
    "door": {"base", "port"},
    "shim": {"base", "port", "network", "host"},
    "net2": {"base", "port", "network", "shim"},
    "daemon": {"base", "port", "wire", "stack", "link", "network", "host"},
    "cli": {"base", "port", "wire", "stack", "link", "network", "host", "net2", "door"},
}

# No clock, no socket, no allocation: what is left of libc for the heart. stdio.h is for snprintf().
HEART = {"port", "wire", "stack", "dhcp"}
HEART_HEADERS = {"assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h",
                 "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h",
                 "strings.h"}
# These live inside other programs, so they bring no library along.
LIBC_ONLY = {"base", "port", "wire", "stack", "dhcp", "network", "shim", "door"}
LIBC_HEADERS = HEART_HEADERS | {
    "alloca.h", "arpa/inet.h", "dirent.h", "dlfcn.h", "elf.h", "endian.h", "fcntl.h", "getopt.h", "grp.h",
    "ifaddrs.h", "link.h", "locale.h", "math.h", "mqueue.h", "netdb.h", "paths.h", "poll.h", "pthread.h",
    "pwd.h", "resolv.h", "sched.h", "setjmp.h", "signal.h", "spawn.h", "stdio_ext.h", "syscall.h", "syslog.h", "wordexp.h",
    "termios.h", "time.h", "ucontext.h", "unistd.h", "wait.h"}
LIBC_FOLDERS = ("asm/", "berth/", "bits/", "gnu/", "linux/", "net/", "netinet/", "sys/")  # berth/: include/, our own promises

# Undefined symbols the heart may have: functions of memory and text only.
HEART_CALLS = re.compile(
    r"^(__)?(mem(cpy|move|set|cmp|chr|rchr|ccpy|pcpy|mem)|st(r|p)(n?len|n?cpy|n?cmp|n?casecmp|n?cat|r?chr|chrnul|"
    r"str|casestr|spn|cspn|pbrk|toul|toull|tol|sep|lcpy)|v?snprintf|bsearch|qsort|bcmp|ffs|ffsl|ffsll)(_chk)?$"
    r"|^__ctype_(b|tolower|toupper)_loc$|^(tolower|toupper)$|^__errno_location$"
    r"|^__stack_chk_(fail|guard)$|^_GLOBAL_OFFSET_TABLE_$|^__tls_get_addr$|^__isoc\d+_strtou?ll?$"
    r"|^__(asan|ubsan|sancov|sanitizer|lsan|tsan|msan)_|^__start___sancov|^__stop___sancov"
    r"|^__aarch64_(ldadd|swp|cas|ldclr|ldset|ldeor)\w*$|^__(popcount|clz|ctz|u?div|u?mod)[dt]i[234]$")
SHIM_NEEDS = re.compile(r"^(libc\.so|ld-linux|ld64|libdl\.so\.2|libpthread\.so\.0|libgcc_s|libasan|libubsan)")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def sources(src):
    for folder in sorted(os.listdir(src)):
        top = os.path.join(src, folder)
        if not os.path.isdir(top):
            continue
        for where, _, names in os.walk(top):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".S", ".inc")):
                    yield folder, os.path.join(where, name)


def check_includes(src):
    wrong = []
    for folder, path in sources(src):
        shown = os.path.relpath(path, os.path.dirname(src))
        if folder not in ALLOWED:
            wrong.append(f"{shown}: folder '{folder}' is not in the table of layers (tools/layers.py)")
            continue
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                m = INCLUDE.match(line)
                if not m or m.group(1) != '"':
                    continue
                target = m.group(2)
                to = target.split("/")[0]
                if "/" not in target or ".." in target.split("/"):
                    wrong.append(f'{shown}:{number}: write "folder/{os.path.basename(target)}", not "{target}"')
                elif to != folder and to not in ALLOWED[folder]:
                    wrong.append(f"{shown}:{number}: {folder} does not stand on {to} ({target})")
                elif not os.path.exists(os.path.join(src, target)):
                    wrong.append(f"{shown}:{number}: no such file: src/{target}")
    return wrong


def check_headers(src):
    wrong = []
    for folder, path in sources(src):
        if folder not in LIBC_ONLY:
            continue
        shown = os.path.relpath(path, os.path.dirname(src))
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                m = INCLUDE.match(line)
                if not m or m.group(1) != "<":
                    continue
                target = m.group(2)
                if folder in HEART:
                    if target not in HEART_HEADERS and not target.startswith("berth/"):  # our own promises
                        wrong.append(f"{shown}:{number}: the heart does no I/O: <{target}>")
                elif target not in LIBC_HEADERS and not target.startswith(LIBC_FOLDERS):
                    wrong.append(f"{shown}:{number}: {folder} uses libc only: <{target}>")
    return wrong


def nm(path, *options):
    out = subprocess.run(["nm", "-P", *options, path], capture_output=True, text=True, check=True).stdout
    return [line.split()[:2] for line in out.splitlines() if len(line.split()) >= 2]


def check_heart_symbols(archive, below):
    """What archive leaves undefined is in HEART_CALLS, or defined by itself or an archive below it."""
    defined = {n for a in [archive, *below] for n, _ in nm(a, "-g", "--defined-only")}
    wrong = []
    for name in sorted({n for n, _ in nm(archive, "-u")} - defined):
        if not HEART_CALLS.match(name):
            wrong.append(f"{os.path.basename(archive)} calls {name}()")
    return wrong


def check_needed(library):
    out = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[([^\]]+)\]", out)
    return [f"{os.path.basename(library)} needs {n}" for n in needed if not SHIM_NEEDS.match(n)]


def check_shown(library, header):
    """The functions that include/berth/HEADER declares, and no other name."""
    with open(os.path.join(ROOT, "include", "berth", header), encoding="utf-8") as f:
        header = re.sub(r"static inline .*?\n}|/\*.*?\*/", "", f.read(), flags=re.S)
    want = set(re.findall(r"^\w[\w *]*?\b(berth_\w+)\(", header, flags=re.M))
    got = {n.split("@")[0] for n, kind in nm(library, "-D", "--defined-only") if kind != "A"}
    return [f"{n} is declared and not there" for n in sorted(want - got)] + [f"{n} is not declared" for n in sorted(got - want)]


def build_option(build, name):
    with open(os.path.join(build, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as f:
        return next(o["value"] for o in json.load(f) if o["name"] == name)


def check_hardened(path):
    """What -Dhardening=true promises of a linked file: no stack to execute, nothing to overwrite after start-up, canaries."""
    def readelf(*options):
        return subprocess.run(["readelf", "-W", *options, path], capture_output=True, text=True, check=True).stdout

    name, segments = os.path.basename(path), readelf("-l")
    wrong = []
    if not re.search(r"GNU_STACK.* RW +0x", segments):
        wrong.append(f"{name} has an executable stack")
    if "GNU_RELRO" not in segments or not re.search(r"\bNOW\b", readelf("-d")):
        wrong.append(f"{name} has no full RELRO")
    if not re.search(r"Type: +DYN", readelf("-h")):
        wrong.append(f"{name} is not position independent")
    if not re.search(r"UND __stack_chk_fail\b", readelf("--dyn-syms")):
        wrong.append(f"{name} has no stack protector")
    return wrong


def find_built(build, name):
    for where, _, names in os.walk(build):
        if name in names:
            return os.path.join(where, name)
    return None


def report(name, wrong):
    print(f"{'FAIL' if wrong else 'ok'} layers: {name}")
    for w in wrong:
        print(f"     {w}")
    return not wrong


def self_test():
    """Each rule broken once. A checker that sees nothing is worse than none."""
    broken = [
        ("includes", "port/a.c", '#include "network/network.h"\n', "port does not stand on network"),
        ("includes", "base/a.c", '#include "port/addr.h"\n', "base does not stand on port"),
        ("includes", "wire/a.c", '#include "stack/tcp.h"\n', "wire does not stand on stack"),
        ("includes", "stack/a.c", '#include "link/tap.h"\n', "stack does not stand on link"),
        ("includes", "network/a.c", '#include "host/host.h"\n', "network does not stand on host"),
        ("includes", "shim/a.c", '  #  include "cli/cli.h"\n', "shim does not stand on cli"),
        ("includes", "shim/a.c", '#include "stack/tcp.h"\n', "shim does not stand on stack"),
        ("includes", "shim/a.c", '#include "daemon/serve.h"\n', "shim does not stand on daemon"),
        ("includes", "cli/a.c", '#include "shim/shim.h"\n', "cli does not stand on shim"),
        ("includes", "port/a.c", '#include "table.h"\n', 'write "folder/table.h"'),
        ("includes", "port/a.c", '#include "port/../network/network.h"\n', "write"),
        ("includes", "port/a.c", '#include "port/nowhere.h"\n', "no such file"),
        ("includes", "misc/a.c", "int a;\n", "not in the table of layers"),
        ("headers", "port/a.c", "#include <unistd.h>\n", "the heart does no I/O"),
        ("headers", "port/a.c", "#include <sys/socket.h>\n", "the heart does no I/O"),
        ("headers", "stack/a.c", "#include <berthold/stack.h>\n", "the heart does no I/O"),
        ("headers", "shim/a.c", "#include <jansson.h>\n", "libc only"),
        ("headers", "network/a.c", "#include <libmnl/libmnl.h>\n", "libc only"),
    ]
    clean = [("port/a.c", '#include "port/addr.h"\n#include "base/base.h"\n#include <string.h>\n'),
             ("stack/a.c", '#include "wire/tcp.h"\n#include <berth/stack.h>\n'),
             ("shim/a.c", '#include "network/network.h"\n#include <sys/socket.h>\n#include <dlfcn.h>\n'),
             ("cli/a.c", '#include "cli/cli.h"\n#include "network/network.h"\n#include <jansson.h>\n')]
    headers = ["base/base.h", "port/addr.h", "port/table.h", "wire/tcp.h", "stack/tcp.h", "link/tap.h", "network/network.h",
               "host/host.h", "shim/shim.h", "daemon/serve.h", "cli/cli.h"]
    checks = {"includes": check_includes, "headers": check_headers}
    wrong = []

    def tree(path, text):
        top = tempfile.mkdtemp(prefix="berth-layers-")
        src = os.path.join(top, "src")
        for h in headers:
            os.makedirs(os.path.dirname(os.path.join(src, h)), exist_ok=True)
            open(os.path.join(src, h), "w", encoding="utf-8").close()
        os.makedirs(os.path.dirname(os.path.join(src, path)), exist_ok=True)
        with open(os.path.join(src, path), "w", encoding="utf-8") as f:
            f.write(text)
        return top, src

    for kind, path, text, want in broken:
        top, src = tree(path, text)
        found = checks[kind](src)
        if len(found) != 1 or want not in found[0]:
            wrong.append(f"{path} with {text.strip()!r}: wanted '{want}', got {found}")
        shutil.rmtree(top)
    for path, text in clean:
        top, src = tree(path, text)
        found = check_includes(src) + check_headers(src)
        if found:
            wrong.append(f"{path} is clean, yet: {found}")
        shutil.rmtree(top)

    cc = os.environ.get("CC", "cc").split()
    top = tempfile.mkdtemp(prefix="berth-layers-")
    for call, bad in [("malloc(9)", True), ("fopen(p, p)", True), ("getenv(p)", True), ("time(0)", True),
                      ("printf(p)", True), ("socket(1, 2, 3)", True), ("write(1, p, 2)", True),
                      ("memcpy(q, p, n)", False), ("strlen(p)", False), ("snprintf(q, 9, \"%s\", p)", False)]:
        c, o, a = (os.path.join(top, "heart" + e) for e in (".c", ".o", ".a"))
        with open(c, "w", encoding="utf-8") as f:
            f.write("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n"
                    "#include <unistd.h>\n#include <sys/socket.h>\n"
                    f"long heart(char *q, const char *p, size_t n) {{ (void)q; (void)n; return (long){call}; }}\n")
        subprocess.run([*cc, "-D_GNU_SOURCE", "-O1", "-fPIC", "-w", "-c", c, "-o", o], check=True)
        subprocess.run(["ar", "rcs", a, o], check=True)
        found = check_heart_symbols(a, [])
        if bool(found) != bad:
            wrong.append(f"symbols: {call}: {found or 'not noticed'}")
        os.unlink(a)
    shutil.rmtree(top)
    return report("self-test: every broken rule is noticed", wrong)


def main():
    p = argparse.ArgumentParser(description="check that folders of src/ stand only on what lies below them")
    p.add_argument("--build", help="a build directory, to check symbols too")
    p.add_argument("--self-test", action="store_true")
    a = p.parse_args()
    if a.self_test:
        return 0 if self_test() else 1
    src = os.path.join(ROOT, "src")
    good = report("includes", check_includes(src))
    good &= report("headers", check_headers(src))
    if a.build:
        free = find_built(a.build, "libberth-port.so")
        port, base = find_built(a.build, "libport.a"), find_built(a.build, "libbase.a")
        shim = find_built(a.build, "libberth.so")
        good &= report("the heart's symbols", check_heart_symbols(port, [base]) if port and base
                       else ["libport.a or libbase.a is not built"])
        wire = find_built(a.build, "libwire.a")
        good &= report("wire's symbols", check_heart_symbols(wire, [port, base]) if wire and port and base
                       else ["libwire.a is not built"])
        stack = find_built(a.build, "libstack.a")
        good &= report("the stack's symbols", check_heart_symbols(stack, [wire, port, base]) if stack and wire and port and base
                       else ["libstack.a is not built"])
        for name in ("stack", "dhcp"):
            library = find_built(a.build, f"libberth-{name}.so")
            missing = [f"libberth-{name}.so is not built"]
            good &= report(f"libberth-{name} needs libc only", check_needed(library) if library else missing)
            good &= report(f"libberth-{name} shows what berth/{name}.h promises", check_shown(library, f"{name}.h") if library else missing)
        if build_option(a.build, "hardening"):
            paths = [find_built(a.build, n) for n in ("libberth-stack.so.1.0.0", "libberth-dhcp.so.1.0.0", "libberth-port.so.1.0.0", "libberth.so", "berth")]
            good &= report("what is installed is hardened", [w for p in paths if p for w in check_hardened(p)])
        good &= report("the shim needs libc only", check_needed(shim) if shim else ["libberth.so is not built"])
        good &= report("libberth-port needs libc only", check_needed(free) if free else ["libberth-port.so is not built"])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
