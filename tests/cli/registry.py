#!/usr/bin/env python3
"""tests/cli/registry.py BERTH: `berth name` with a newer registry: --update FILE, --remove, --registry, and what damages them.

IANA's file is made here from the built-in registry, in IANA's form and with what its form allows: quotes, line ends inside
of fields, CRLF, ranges, records without a number, names that are new, gone and renamed.
"""
import csv
import datetime
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

BERTH = os.path.abspath(sys.argv[1])
TITLES = ["Service Name", "Port Number", "Transport Protocol", "Description", "Assignee", "Contact", "Registration Date",
          "Modification Date", "Reference", "Service Code", "Unauthorized Use Reported", "Assignment Notes"]
failed = 0
scratch = tempfile.mkdtemp(prefix="berth-registry-")
data = os.path.join(scratch, "data")
env = {**{k: v for k, v in os.environ.items() if not k.startswith("BERTH_")}, "XDG_DATA_HOME": data,
       "BERTH_DIR": os.path.join(scratch, "berth"), "LC_ALL": "C"}
kept = os.path.join(data, "berth", "ports.registry")


def check(what, ok, more=""):
    global failed
    print(f"{'ok' if ok else 'FAIL'}: {what}{'' if ok else f': {more}'}", flush=True)
    failed += not ok


def berth(*argv, stdin=None, environ=env):
    r = subprocess.run([BERTH, *argv], input=stdin if stdin is not None else b"", capture_output=True, env=environ, timeout=60,
                       check=False)
    return r.returncode, r.stdout.decode("utf-8", "replace"), r.stderr.decode("utf-8", "replace")


def names(*argv):
    code, out, err = berth("name", "--json", *argv)
    check(f"name {' '.join(argv)} speaks JSON", code in (0, 1) and not err, err)
    return json.loads(out)


def record(name, port, proto, text="", registered="", modified=""):
    return [name, port, proto, text, "[Somebody]", "[Somebody]", registered, modified, "", "", "", ""]


def to_csv(rows, end="\r\n", titles=TITLES):
    f = io.StringIO(newline="")
    w = csv.writer(f, lineterminator=end)
    w.writerow(titles)
    w.writerows(rows)
    return f.getvalue().encode()


def port_of(row):
    return str(row["port"]) if row["port"] == row["last_port"] else f"{row['port']}-{row['last_port']}"


def update(content, *argv):
    path = os.path.join(scratch, "iana.csv")
    with open(path, "wb") as f:
        f.write(content)
    return berth("name", "--update", path, *argv)


os.mkdir(env["BERTH_DIR"], 0o700)
built_in = [r for r in names("0-65535") if r["source"] in ("iana", "alias")]
first = {(r["port"], r["last_port"], r["proto"]) for r in built_in if r["source"] == "iana"}
built_in = [r for r in built_in if (r["port"], r["last_port"], r["proto"]) in first]  # the others are Debian's own
check("the built-in registry is big", len(built_in) > 9000, len(built_in))
whole = [record(r["name"], port_of(r), r["proto"], r["description"]) for r in built_in]
today = datetime.date.today()
newest = (today - datetime.timedelta(days=40)).isoformat()

out = berth("name", "--registry")[1]
check("how old the built-in one is", bool(re.search(r"of: +20\d\d-\d\d-\d\d, \d+ (days|years) old", out)), out)

# --- the same registry, read back ---
code, out, err = update(to_csv(whole))
check("a whole registry is taken in", code == 0 and os.path.exists(kept), out + err)
check("it says where it is", kept in out, out)
again = [r for r in names("0-65535") if r["source"] in ("iana", "alias") and (r["port"], r["last_port"], r["proto"]) in first]
pick = lambda rows: {(r["port"], r["last_port"], r["proto"], r["name"], r["source"]) for r in rows}
lost, new = pick(built_in) - pick(again), pick(again) - pick(built_in)
check("what was registered is what it was", not lost and not new, f"lost {sorted(lost)[:5]}, new {sorted(new)[:5]}")
for word in ("http", "http-alt", "postgresql", "redis", "domain", "nfs", "x11", "vite"):
    with_file = names(word)
    without = json.loads(berth("name", "--json", word, environ={**env, "XDG_DATA_HOME": os.path.join(scratch, "none")})[1])
    check(f"{word} means what it meant", with_file == without, f"{with_file} {without}")

# --- a newer one ---
rows = [r for r in whole if r[0].lower() not in ("gopher", "quote", "whoispp", "whois++") and not (r[0] == "ssh" and r[2] == "udp")]
rows = [["Renamed-Talk", *r[1:]] if r[0] == "talk" else r for r in rows]
rows += [record("brand-new", "47110", "tcp", 'with "quotes", commas,\r\nand a line end', newest),
         record("brand-new", "47110", "udp", "", "1999-01-01", "9999-12-31"),
         record("sql-net-new", "47221", "tcp", 'Oracle SQL*NET IANA assigned this well-formed service name as a replacement for "sql*net".'),
         record("new-range", "47200-47210", "TCP", "x" * 500), record("", "47111", "tcp", "Unassigned"),
         record("sctp-only", "47112", "sctp"), record("no-number", "", "tcp"), record("\x1b[31mred", "47113", "tcp"),
         record("esc-text", "47114", "tcp", "\x1b[31mred\x07 \u00e4"), record("bad-port", "65536", "tcp"),
         record("two words", "47115", "tcp"), record("backwards", "47120-47116", "tcp"), record("vite", "5173", "tcp", "now it is")]
code, out, err = update(to_csv(rows))
check("a newer one is taken in", code == 0, err)
check("how old it is", f"{newest}, 40 days old" in out, out)
check("records without sense are counted", "4 records make no sense" in err, err)
got = names("47110-47220")
by_name = {(r["name"], r["proto"]): r for r in got}
check("a new name, with what its quotes hid", by_name[("brand-new", "tcp")]["description"] == 'with "quotes", commas, and a line end', got)
check("over both protocols, told apart", ("brand-new", "udp") in by_name, got)
check("a range", by_name[("new-range", "tcp")]["port"] == 47200 and by_name[("new-range", "tcp")]["last_port"] == 47210, got)
check("a long description is shortened at its end", by_name[("new-range", "tcp")]["description"].endswith("x..."), got)
check("steering characters are gone", "\x1b" not in by_name[("esc-text", "tcp")]["description"], got)
check("nothing else came", len(got) == 4, got)
check("IANA's remarks on names are left out", names("sql-net-new")[0]["description"] == "Oracle SQL*NET", names("sql-net-new"))
check("an unassigned name is gone", not [r for r in names("70") if r["source"] == "iana"])
check("a number found by its new name", [r["port"] for r in names("new-range")] == [47200])
talk = [r for r in names("517/udp") if r["name"].lower() in ("talk", "renamed-talk")]
check("a new name is the primary one", ("Renamed-Talk", "iana") in [(r["name"], r["source"]) for r in talk], talk)
check("a former name stays as an alias", "talk" in [r["name"] for r in talk], talk)
check("what was only seen and is registered now is said to be", [r["source"] for r in names("vite") if r["port"] == 5173] == ["iana"],
      names("vite"))
check("ls finds a port by its new name", berth("ls", "brand-new")[0] == 0, berth("ls", "brand-new"))
code, out, err = berth("name", "--registry", "--json")
facts = json.loads(out)
check("--registry --json", facts["registry"] == kept and facts["newest"] == newest and facts["names"] > 6000, facts)
check("standard input", berth("name", "--update", "-", stdin=to_csv(rows, "\n"))[0] == 0)
check("programs' getservbyname() stays the built-in one",
      "OK" in berth("run", "-q", "--", sys.executable, "-c",
                    "import socket\ntry: print(socket.getservbyname('brand-new'))\nexcept OSError: print('OK')")[1])

# --- what is no registry changes nothing ---
before = open(kept, "rb").read()
big = to_csv(whole + [record("long", "47999", "tcp", "y" * 10_000_000)])
wrong = {
    "half a registry": to_csv(whole[:2000]),
    "an empty file": b"",
    "blank lines": b"\n\n\r\n",
    "a page of HTML": b"<html><body>404</body></html>\n" * 50,
    "the wrong titles": to_csv(whole, titles=["a", "b", "c", "d"]),
    "cut in a line": to_csv(whole)[:-20],
    "cut in quotes": to_csv(whole) + b'a,1,tcp,"text\r\n',
    "zeros": bytes(100_000),
    "a line of 10 MB": b"z" * 10_000_000 + b"\n",
    "10 MB of commas": to_csv(whole[:10]) + b"," * 10_000_000 + b"\n",
    "100,000 names": to_csv([record(f"n{i}", str(i % 60000 + 1), "tcp") for i in range(100_000)]),
}
for what, content in wrong.items():
    code, out, err = update(content)
    check(f"{what} is refused", code == 125 and "othing was changed" in err and err.count("\n") == 1, f"{code} {err[:300]}")
    check(f"{what}: what was there stays", open(kept, "rb").read() == before)
code, out, err = update(big)
check("a field of 10 MB is taken, shortened", code == 0 and names("47999/tcp")[0]["description"].endswith("y..."), err)
check("no such file", berth("name", "--update", os.path.join(scratch, "none.csv"))[0] == 125)
check("a folder", berth("name", "--update", scratch)[0] == 125)
check("an update takes no port", berth("name", "--update", "x", "80")[0] == 2)

# --- damage ---
update(to_csv(rows))
good = open(kept, "rb").read()
for what, content in {"a flipped octet": good[:5000] + bytes([good[5000] ^ 1]) + good[5001:], "cut short": good[:len(good) // 2],
                      "empty": b"", "garbage": os.urandom(5000), "a longer line": good + b"x\n",
                      "another sum": good.replace(b"sum=", b"sum=0", 1)}.items():
    with open(kept, "wb") as f:
        f.write(content)
    code, out, err = berth("name", "443")
    check(f"damage is said: {what}", code == 0 and "is not used: it is damaged" in err and err.count("\n") == 1, f"{code} {err}")
    check(f"and the built-in names are there: {what}", "https" in out, out)
with open(kept, "wb") as f:
    f.write(good.replace(b"berth-registry 1", b"berth-registry 2", 1))
check("a later version's is said", "later version" in berth("name", "443")[2])
with open(kept, "wb") as f:
    f.write(good)
os.chmod(kept, 0o666)
check("one that others may write into is not used", "others may write" in berth("name", "443")[2])
os.chmod(kept, 0o644)
check("whole again, nothing is said", berth("name", "443")[2] == "")
code, out, err = berth("name", "--update", "--remove")
check("--update --remove", code == 0 and not os.path.exists(kept) and "registry in berth" in out, out + err)
code, out, err = berth("name", "--remove")
check("--remove once more says that there is none", code == 0 and "there is no" in err, err)
check("the former name is back", [r["source"] for r in names("gopher") if r["source"] != "local"][:1] in (["iana"], []) and names("70"))
shutil.rmtree(scratch)
sys.exit(failed != 0)
