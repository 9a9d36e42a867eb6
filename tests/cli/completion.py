#!/usr/bin/env python3
"""tests/cli/completion.py BERTH COMPLETIONS: `berth complete`, and what bash, zsh and fish make of it.

Shells that are not installed are named and left out.
"""
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BERTH, COMPLETIONS = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
failed = 0
scratch = tempfile.mkdtemp(prefix="berth-completion-")
os.mkdir(os.path.join(scratch, "berth"), 0o700)
os.mkdir(os.path.join(scratch, "bin"))
os.mkdir(os.path.join(scratch, "here"))
os.symlink(BERTH, os.path.join(scratch, "bin", "berth"))
for name in ("newer.csv", "older.csv"):
    open(os.path.join(scratch, "here", name), "w", encoding="utf-8").close()
env = {k: v for k, v in os.environ.items() if not k.startswith("BERTH_")}
env |= {"BERTH_DIR": os.path.join(scratch, "berth"), "PATH": os.path.join(scratch, "bin") + ":" + env["PATH"], "HOME": scratch,
        "LC_ALL": "C", "TERM": "dumb", "XDG_CONFIG_HOME": scratch, "XDG_DATA_HOME": scratch, "COMPLETIONS": COMPLETIONS}
# Where the library is, for the run below: a link to the command does not lead there.
holder = None


def check(what, ok, more=""):
    global failed
    print(f"{'ok' if ok else 'FAIL'}: {what}{'' if ok else f': {more}'}", flush=True)
    failed += not ok


def run(*argv, **more):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=60, check=False,
                          cwd=os.path.join(scratch, "here"), **more)


def asked(*words):
    r = run(BERTH, "complete", "--", *words)
    check(f"complete {' '.join(words)!r} is quiet", r.returncode == 0 and r.stderr == "", r.stderr)
    return [line.split("\t")[0] for line in r.stdout.splitlines()]


spec = json.loads(run(BERTH, "complete", "--spec").stdout)
commands = [c["name"] for c in spec["commands"]]

# --- berth's own part ---
check("all commands", asked("") == commands, asked(""))
listed = re.findall(r"^  ([a-z]+) ", run(BERTH, "--help").stdout.split("Examples")[0], re.M)
check("those of the help", listed == commands, f"{listed} {commands}")
for c in spec["commands"]:
    shown = set(re.findall(r"^  (?:-., |    )(--[a-z0-9-]+)", run(BERTH, c["name"], "--help").stdout.split("\nOptions:\n")[1], re.M))
    offered = {w for w in asked(c["name"], "--")}
    check(f"{c['name']}: every option of its help", shown == offered, f"{shown ^ offered}")
check("a command unknown offers nothing", asked("nosuch", "") == [])
check("what needs no network offers no error", asked("who", "") is not None)
check("no network yet: hosts", asked("run", "-H", "") == ["auto"], asked("run", "-H", ""))

try:
    holder = subprocess.Popen([BERTH, "run", "-n", "lab", "-H", "web", "--", sys.executable, "-c",
                               "import socket,sys; open('/proc/self/comm','w').write('python3'); a=socket.create_server(('',8080)); b=socket.socket(type=socket.SOCK_DGRAM);"
                               " b.bind(('',53)); print('ready',flush=True); sys.stdin.read()"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    check("a server runs", b"ready" in holder.stdout.readline())
    table = [
        (["run", "-n", ""], ["lab"]), (["run", "-n", "x"], []), (["run", "--network=l"], ["lab"]),
        (["run", "-n", "lab", "-H", "w"], ["web"]), (["ls", "-n", "lab", "-H", ""], ["auto", "web"]),
        (["exec", "-n", "lab", "w"], ["web"]), (["wait", "-n", "lab", "web:"], ["web:8080", "web:53/udp"]),
        (["wait", "-n", "lab", "w"], ["web:8080", "web:53/udp", "web:"]), (["who", "-n", "lab", "-H", "web", "80"], ["8080"]),
        (["who", "-n", "lab", ""], ["8080", "53/udp"]), (["run", "--", ""], [":command 2"]), (["run", "-q", "l"], [":command 2"]),
        (["run", "ls", "-"], [":command 1"]), (["exec", "web", "ls", ""], [":command 2"]), (["exec", "web", "--", "l"], [":command 3"]),
        (["run", "-H", "web", "--", "make", "-"], [":command 4"]), (["free", "--", ""], [":command 2"]), (["free", "--", "ls", ""], [":command 2"]),
        (["free", "3", "--", "ls", ""], [":command 3"]), (["free", "3", "--udp", "--", "l"], [":command 4"]), (["free", ""], []),
        (["exec", ""], ["auto"]), (["ls", "-n", "lab", "--program", ""], ["python3"]), (["ls", "-n", "lab", "--program", "x"], []),
        (["ls", "--user", "roo"], ["root"]), (["ls", "-o", "port,min"], ["port,min_rtt_us"]), (["ls", "--sort", "-tim"], ["-timers", "-timer", "-timer_s"]),
        (["ls", "--state", "time"], ["time-wait"]), (["ls", "-o", "cong"], ["congestion", "congestion_control"]), (["net", "cr"], ["create"]), (["net", "rm", ""], ["lab"]),
        (["net", "create", "--privileged-ports", ""], ["allow", "deny"]), (["name", "postgresq"], ["postgresql"]),
        (["name", "--update", ""], [":files"]), (["help", "wh"], ["who", "why"]), (["-"], ["--help", "--version"]), (["doctor", "-"], ["--json", "--help", "-h"]),
        (["why", "-a", "12"], ["127.0.0.1"]), (["ls", "-n"], ["-n"]), (["wait", "-qn", "l"], ["lab"]),
        (["ls", "-nlab", "-H", "w"], ["web"]),
    ]
    for words, want in table:
        got = asked(*words)
        check(f"{' '.join(words)!r} offers {want}", sorted(set(got)) == sorted(set(want)), got)

    pids = asked("ls", "-n", "lab", "--pid", "")
    check("pids of those who have ports", len(pids) == 1 and pids[0].isdigit(), pids)

    # --- bash ---
    def bash(line, point=None, setup=""):
        """What its completion function answers to a line; the words as bash would cut them."""
        point = len(line) if point is None else point
        script = f"""{setup}
. "$COMPLETIONS/berth.bash"
COMP_LINE=$1 COMP_POINT=$2; shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
compopt() {{ [ "$2" = nospace ] && echo NOSPACE; return 0; }}
_berth; printf '%s\\n' "${{COMPREPLY[@]}}\""""
        cut = line[:point]
        words = [w for w in re.findall(r"[:=]+|[^\s:=]+", cut)]
        if not cut or cut[-1].isspace() or cut[-1] in ":=":
            words.append("")
        # after "web:" bash's word is the ":" itself
        if cut and cut[-1] in ":=":
            words.pop()
        r = run("bash", "--norc", "-c", script, "bash", line, str(point), *words)
        check(f"bash is quiet about {line!r}", r.stderr == "", r.stderr)
        return [x for x in r.stdout.splitlines() if x]

    if shutil.which("bash"):
        r = run("bash", "--norc", "-c", '. "$COMPLETIONS/berth.bash"; complete -p berth')
        check("bash: registered", r.stdout.strip() == "complete -F _berth berth", r.stdout + r.stderr)
        for line, want in [("berth wh", ["who", "why"]), ("berth run -n ", ["lab"]), ("berth ls -n lab -H w", ["web"]),
                           ("berth run --network=l", ["lab"]), ("berth wait -n lab web:", ["8080", "53/udp"]),
                           ("berth wait -n lab web:80", ["8080"]), ("berth wait -n lab we", ["web:8080", "web:53/udp", "web:", "NOSPACE"]),
                           ("berth name --update n", ["newer.csv"]), ("berth   net   cr", ["create"]), ("berth nosuch ", []),
                           ("berth who -n lab web:8080 -H w", ["web"])]:
            got = bash(line)
            check(f"bash: {line!r} becomes {want}", sorted(got) == sorted(want), got)
        check("bash: in the middle of a line", bash("berth wh 80", 8) == ["who", "why"], bash("berth wh 80", 8))
        check("bash: a command behind run", "printf" in bash("berth run -- print"), bash("berth run -- print"))
        common = "/usr/share/bash-completion/bash_completion"
        if os.path.exists(common):
            got = bash("berth run -H web -- sh -", setup=f". {common}; _sh() {{ COMPREPLY=(-its-own); }}; complete -F _sh sh")
            check("bash: what runs under berth completes as it does alone", got == ["-its-own"], got)
        else:
            print("skip bash-completion: not installed")
    else:
        print("skip bash: not installed")

    # --- zsh, typed at ---
    def typed_at(argv, steps):
        """Type into a shell on a terminal; each step is text, and what must come back."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(os.path.join(scratch, "here"))
            os.execvpe(argv[0], argv, env)
        out = ""
        try:
            for text, want in steps:
                os.write(fd, text.encode())
                seen, end = "", time.monotonic() + 20
                while not re.search(want, seen):
                    if time.monotonic() > end or not select.select([fd], [], [], end - time.monotonic())[0]:
                        return False, out + seen
                    try:
                        seen += os.read(fd, 4096).decode("utf-8", "replace")
                    except OSError:
                        return False, out + seen
                out += seen
            return True, out
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(fd)

    if shutil.which("zsh"):
        start = 'PS1="$ "; fpath=("$COMPLETIONS" $fpath); autoload -U compinit; compinit -u -D; setopt no_beep; echo ready=$((1+1))\n'
        for line, want in [("berth unpub\t", "unpublish "), ("berth ls -n lab -H w\t", "-H web "), ("berth run -n la\t", "-n lab "),
                           ("berth wait -n lab web:80\t", "web:8080 "), ("berth run --network=la\t", "--network=lab"),
                           ("berth name --update new\t", r"newer\.csv"), ("berth run -- printen\t", "printenv"),
                           ("berth wait -n lab w\t\t", r"web:53/udp"), ("berth exec web true -\t\tx\b", "x")]:
            ok, out = typed_at(["zsh", "-f", "-i"], [(start, "ready=2"), (line, want)])
            check(f"zsh: {line!r} becomes {want!r}", ok, out)
    else:
        print("skip zsh: not installed")

    # --- fish ---
    if shutil.which("fish"):
        for line, want in [("berth wh", ["who", "why"]), ("berth run -n ", ["lab"]), ("berth ls -n lab -H w", ["web"]),
                           ("berth run --network=l", ["--network=lab"]), ("berth wait -n lab web:8", ["web:8080"]),
                           ("berth name --update n", ["newer.csv"]), ("berth net cr", ["create"]), ("berth nosuch ", []),
                           ("berth run -- printen", ["printenv"]), ("berth run -n lab -H web -- printen", ["printenv"])]:
            r = run("fish", "--no-config", "-c", 'source "$COMPLETIONS/berth.fish"; complete -C $argv[1]', line)
            got = [x.split("\t")[0] for x in r.stdout.splitlines()]
            check(f"fish: {line!r} becomes {want}", sorted(got) == sorted(want), f"{got} {r.stderr}")
    else:
        print("skip fish: not installed")
finally:
    if holder:
        holder.stdin.close()
        holder.wait(20)
    shutil.rmtree(scratch, ignore_errors=True)
sys.exit(failed != 0)
