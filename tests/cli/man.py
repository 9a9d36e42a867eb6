#!/usr/bin/env python3
"""tests/cli/man.py BERTH PAGES SOURCE: the man pages say what --help says, nothing of what is gone, and render in 80 columns.

Prose goes stale; so every option, command, page and key of berth.conf that a page names must be there.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

BERTH, PAGES, SOURCE = (os.path.abspath(a) for a in sys.argv[1:4])
# Options of other programs, in examples and prose.
FOREIGN = set()
failed = 0


def check(what, ok, more=""):
    global failed
    print(f"{'ok' if ok else 'FAIL'}: {what}{'' if ok else f': {more}'}", flush=True)
    failed += not ok


def out(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL).stdout


def text_of(path):
    """A page without its markup, paragraphs whole. man may not be there; the macros scdoc writes are few."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    text = re.sub(r"^\.\\\".*$", "", text, flags=re.M)
    text = re.sub(r"\\f[BRIP]|\\&|\\c", "", text).replace("\\-", "-").replace("\\(cq", "'").replace("\\(ti", "~")
    text = re.sub(r"\\'|\\\(aq", "'", text).replace("\\e", "\\")
    return text


def section(text, name):
    m = re.search(rf"^\.SH {name}\n(.*?)(?=^\.SH |\Z)", text, re.M | re.S)
    return m[1] if m else ""


listed = out(sys.executable, os.path.join(SOURCE, "tools/gen_man.py"), "--list", SOURCE).split()
there = {p for p in os.listdir(PAGES) if re.search(r"\.[157]$", p)}
check("every page was made", set(listed) == there, sorted(set(listed) ^ there))
commands = re.findall(r"^  ([a-z]+) ", out(BERTH, "--help").split("Examples")[0], re.M)
check("every command has a page", {f"berth-{c}.1" for c in commands} <= there, sorted({f"berth-{c}.1" for c in commands} - there))

options = {}
for c in commands:
    help_text = out(BERTH, c, "--help")
    options[c] = set(re.findall(r"^  (?:-., |    )(--[a-z0-9-]+)", help_text.split("\nOptions:\n")[1], re.M))
    text = text_of(os.path.join(PAGES, f"berth-{c}.1"))
    shown = set(re.findall(r"^(?:-\w, )?(--[a-z0-9-]+)", section(text, "OPTIONS"), re.M))
    check(f"berth-{c}(1): its options are those of --help", shown == options[c], sorted(shown ^ options[c]))
    letters = set(re.findall(r"^  (-\w), --", help_text, re.M))
    check(f"berth-{c}(1): and their letters", set(re.findall(r"^(-\w), --", section(text, "OPTIONS"), re.M)) == letters, letters)
    for part in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "SEE ALSO"):
        check(f"berth-{c}(1): {part} says something", len(section(text, part).strip()) > 5, text[:300])
    synopsis = re.search(r"^Usage: (.*)$", help_text, re.M)[1]
    check(f"berth-{c}(1): its synopsis is that of --help", synopsis in " ".join(section(text, "SYNOPSIS").split()), section(text, "SYNOPSIS"))

every = set().union(*options.values()) | {"--version"}
for page in sorted(there):
    text = text_of(os.path.join(PAGES, page))
    words = set(re.findall(r"(?<![\w-])(--[a-z][a-z0-9-]+)", text)) - FOREIGN
    check(f"{page}: every option it names exists", words <= every, sorted(words - every))
    named = set(re.findall(r"\b(berth[a-z.-]*)\(([157])\)", text))
    gone = [f"{n}({s})" for n, s in named if f"{n}.{s}" not in there]
    check(f"{page}: every page it names exists", not gone, gone)
    ran = set(re.findall(r"(?:^\$ |^|')berth ([a-z]{2,})\b", section(text, "EXAMPLES"), re.M))
    check(f"{page}: every command in its examples exists", ran <= set(commands), sorted(ran - set(commands)))

with open(os.path.join(SOURCE, "src/cli/conf.c"), encoding="utf-8") as f:
    source = f.read()
with open(os.path.join(SOURCE, "docs/man/berth.conf.scd"), encoding="utf-8") as f:
    lines = re.findall(r"^\*.*", re.search(r"^# KEYS\n(.*?)^# ", f.read(), re.M | re.S)[1], re.M)
keys = [k for line in lines for k in re.findall(r"\*([a-z-]+|\[environment\])\*", line)]
check("berth.conf(5) has keys", len(keys) > 8, keys)
for key in keys:
    check(f"berth.conf(5): {key} is a key", f'"{key.strip("[]")}"' in source)
known = set(re.findall(r"^\| `([a-z-]+)`|^\| `isolated`", open(os.path.join(SOURCE, "docs/conf.md"), encoding="utf-8").read(), re.M)) - {""}
check("berth.conf(5): has all keys of docs/conf.md", known <= set(keys), sorted(known - set(keys)))

if shutil.which("man") and shutil.which("groff"):
    env = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": "", "MANPAGER": "cat", "PAGER": "cat"}
    for page in sorted(there):
        r = subprocess.run(["man", "--warnings", "-l", os.path.join(PAGES, page)], capture_output=True, text=True, env=env, check=False)
        wide = [line for line in re.sub(".\b", "", r.stdout).splitlines() if len(line) > 80]
        check(f"{page}: 80 columns", r.returncode == 0 and not wide and len(r.stdout) > 300, wide[:3])
        check(f"{page}: nothing is complained about", r.stderr == "", r.stderr[:300])
else:
    print("skip man: not installed, so nothing was rendered")

# Prose about an option that does not exist does not get through.
with tempfile.TemporaryDirectory() as scratch:
    os.makedirs(os.path.join(scratch, "docs/man"))
    os.symlink(os.path.join(SOURCE, "src"), os.path.join(scratch, "src"))
    for name in os.listdir(os.path.join(SOURCE, "docs/man")):
        shutil.copy(os.path.join(SOURCE, "docs/man", name), os.path.join(scratch, "docs/man"))
    with open(os.path.join(scratch, "docs/man/berth-who.scd"), "w", encoding="utf-8") as f:
        f.write("@MORE gone-long-ago@\nProse.\n")
    r = subprocess.run([sys.executable, os.path.join(SOURCE, "tools/gen_man.py"), "--scd", BERTH, scratch, scratch], capture_output=True,
                       text=True, check=False)
    check("prose about an option that is gone is an error", r.returncode != 0 and "gone-long-ago" in r.stderr, r.stderr)
sys.exit(failed != 0)
