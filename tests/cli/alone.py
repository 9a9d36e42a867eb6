"""For tests of the command on a machine of its own: a network namespace where nobody but the test has ports, and a berth directory.

    from alone import BERTH, check, env, failed    # runs the test itself again, inside; there it goes on
    check("what is true", 1 + 1 == 2, "what came instead")
    sys.exit(failed() != 0)
"""
import os
import shutil
import subprocess
import sys
import tempfile

BERTH, HOLDER = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
n_failed = 0

if len(sys.argv) == 3:
    how = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-rn"]
    if not shutil.which("unshare") or subprocess.run([*how, "true"], capture_output=True, check=False).returncode != 0:
        print("no network namespace can be made here")
        sys.exit(77)
    os.execvp("unshare", [*how, sys.executable, *sys.argv, "inside"])

subprocess.run(["ip", "link", "set", "lo", "up"], check=False, capture_output=True)
scratch = tempfile.mkdtemp(prefix="berth-test-")
env = {**{k: v for k, v in os.environ.items() if not k.startswith("BERTH_")}, "BERTH_DIR": os.path.join(scratch, "berth"),
       "XDG_DATA_HOME": scratch, "LC_ALL": "C"}
os.mkdir(env["BERTH_DIR"], 0o700)


def check(what, ok, more=""):
    global n_failed
    print(f"{'ok' if ok else 'FAIL'}: {what}{'' if ok else f': {more}'}", flush=True)
    n_failed += not ok


def failed():
    return n_failed
