#!/usr/bin/env python3
"""Make the man pages: what berth says of itself (names, synopses, options, examples), and the prose of docs/man/*.scd.

    tools/gen_man.py --list SOURCE                   the pages there are, one a line (berth.1, berth-run.1, ...)
    tools/gen_man.py BERTH SCDOC SOURCE OUT          write all of them into OUT, by scdoc
    tools/gen_man.py --scd BERTH SOURCE OUT          the same before scdoc has seen it

A command's page needs no file: without docs/man/berth-NAME.scd it says what `berth NAME --help` does. A file has sections of
scdoc, which follow the description, and may add

    @MORE option@        paragraphs to that option (up to the next line that begins with @ or #)
    @DESCRIPTION@        paragraphs after those of --help
    @NO HELP@            before them: leave those of --help out

An option that does not exist is an error, so that prose about one that is gone does not stay. berth(1), berth.conf(5) and berth(7)
are whole files; in the first @COMMANDS@ stands for the table of commands.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

WHOLE = {"berth.1": "berth.scd", "berth.conf.5": "berth.conf.scd", "berth.7": "berth.7.scd"}
# The order that man-pages(7) gives; others of ours stand in front of EXIT STATUS.
ORDER = ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"]
EXIT = """*0*
	done; the answer is yes

*1*
	the answer is no

*2*
	berth was called wrongly; nothing was done

*125*
	berth could not do it; one line on standard error says why
"""


def commands_of(source):
    """Names of the commands, from the sources: meson asks before anything is built."""
    names = set()
    folder = os.path.join(source, "src", "cli")
    for name in sorted(os.listdir(folder)):
        if re.fullmatch(r"cmd_\w+\.c", name):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                names.update(re.findall(r'^const struct cmd cmd_\w+ = \{\s*(?:\.name = )?"([a-z0-9-]+)"', f.read(), re.M))
    return sorted(names)


def pages(source):
    return [*WHOLE, *(f"berth-{c}.1" for c in commands_of(source))]


def plain(text):
    """Text in which nothing is markup."""
    return re.sub(r"([\\*_#`~|+<>\[\]-])", lambda m: "\\" + m[1] if m[1] in "\\*_" else m[1], text)


def bold(text):
    return f"*{plain(text)}*"


def to_pages(text):
    """Documents that are man pages, too."""
    return text.replace("docs/conf.md", "berth.conf(5)")


def paragraphs(text):
    """Paragraphs of a help: lines are joined; indented ones stay as they are."""
    out = []
    for part in text.strip("\n").split("\n\n"):
        lines = part.split("\n")
        if all(line.startswith("  ") for line in lines):
            out.append("```\n" + "\n".join(line[2:] for line in lines) + "\n```")
        else:
            out.append(plain(" ".join(lines)))
    return "\n\n".join(out) + "\n"


def examples(lines):
    """Command lines, with what they are for behind two blanks."""
    out = []
    for line in lines:
        if not line.strip():
            continue
        command, _, what = re.match(r"^\s*(.*?)(\s{2,}(.*))?$", line).groups()
        what = re.match(r"^\s*(.*?)(?:\s{2,}(.*))?$", line)[2]
        out.append(bold(command) + "\n\t" + (plain(what) if what else "\\ ") + "\n" if what else bold(command) + "\n")
    return "\n".join(out)


def options(command, more):
    out = []
    for o in command["options"]:
        left = [bold("-" + o["letter"])] if o["letter"] else []
        left.append(bold("--" + o["name"]))
        arg = f" _{plain(o['arg'])}_" if o["arg"] else ""
        out.append(", ".join(left) + arg + "\n\t" + plain(o["help"]) + "\n" +
                   "".join(f"\n\t{p}\n" for p in more.pop(o["name"], [])))
    return "\n".join(out)


def read_extra(path):
    """(paragraphs of each @MORE, of @DESCRIPTION@, the sections, whether to leave out the help's paragraphs)"""
    more, description, rest, no_help = {}, [], [], False
    if not os.path.exists(path):
        return more, "", "", False
    at = rest
    with open(path, encoding="utf-8") as f:
        for line in f.read().split("\n"):
            m = re.fullmatch(r"@(MORE|DESCRIPTION|NO HELP)(?: ([a-z0-9-]+))?@", line)
            if m and m[1] == "NO HELP":
                no_help = True
            elif m:
                at = description if m[1] == "DESCRIPTION" else more.setdefault(m[2], [])
            elif line.startswith("@"):
                sys.exit(f"{path}: {line}: what is that?")
            else:
                if line.startswith("# "):
                    at = rest
                at.append(line)
    for name, lines in more.items():
        more[name] = [" ".join(p.split("\n")) for p in "\n".join(lines).strip().split("\n\n") if p]
    return more, "\n".join(description).strip("\n"), "\n".join(rest).strip("\n"), no_help


def title(page, version):
    name, section = page.rsplit(".", 1)
    return f'{name}({section}) "berth {version}" "berth"\n\n'


def command_page(command, spec, source):
    name = command["name"]
    path = os.path.join(source, "docs", "man", f"berth-{name}.scd")
    more, description, rest, no_help = read_extra(path)
    text, _, after = to_pages(command["help"]).partition("Examples:\n")
    shown = [p for p in re.split(r"\n\n", text.strip("\n")) if not (no_help or re.match(r"Exits? ", p) and "# EXIT STATUS" in rest)]
    out = title(f"berth-{name}.1", spec["version"])
    out += f"# NAME\n\nberth-{name} - {plain(command['summary'])}\n\n"
    out += f"# SYNOPSIS\n\n*berth {name}* {plain(command['synopsis'])}\n\n# DESCRIPTION\n\n"
    if shown:
        out += paragraphs("\n\n".join(shown)) + "\n"
    if description:
        out += description + "\n\n"
    out += "# OPTIONS\n\n" + options(command, more) + "\n"
    if more:
        sys.exit(f"{path}: berth {name} has no option --{', --'.join(more)}")
    sections = {"EXIT STATUS": EXIT, "SEE ALSO": "*berth*(1), *berth*(7)\n"}
    if after.strip():
        sections["EXAMPLES"] = examples(after.split("\n"))
    for part in re.split(r"^# ", rest, flags=re.M)[1:]:
        heading, _, body = part.partition("\n")
        sections[heading.strip()] = body.strip("\n") + "\n"
    own = [h for h in sections if h not in ORDER]
    return out + "\n".join(f"# {h}\n\n{sections[h]}" for h in own + [h for h in ORDER if h in sections])


def whole_page(page, spec, source):
    with open(os.path.join(source, "docs", "man", WHOLE[page]), encoding="utf-8") as f:
        text = f.read()
    table = "\n".join(f"*berth-{c['name']}*(1)\n\t{plain(c['summary'])}\n" for c in spec["commands"])
    return title(page, spec["version"]) + text.replace("@COMMANDS@", table).replace("@EXIT@", EXIT)


def main():
    if sys.argv[1] == "--list":
        print("\n".join(pages(sys.argv[2])))
        return
    scdoc = None
    if sys.argv[1] == "--scd":
        berth, source, out = sys.argv[2:]
    else:
        berth, scdoc, source, out = sys.argv[1:]
    spec = json.loads(subprocess.run([berth, "complete", "--spec"], check=True, capture_output=True).stdout)
    by_page = {f"berth-{c['name']}.1": c for c in spec["commands"]}
    if sorted(by_page) != sorted(p for p in pages(source) if p not in WHOLE):
        sys.exit(f"gen_man: berth has the commands {sorted(by_page)}, its sources {pages(source)}")
    for page in pages(source):
        text = command_page(by_page[page], spec, source) if page in by_page else whole_page(page, spec, source)
        if scdoc:
            # The date is that of the build unless somebody fixes it; ours is the same every time.
            env = {**os.environ, "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "1795219200")}
            r = subprocess.run([scdoc], input=text.encode(), capture_output=True, env=env, check=False)
            if r.returncode != 0:
                with tempfile.NamedTemporaryFile("w", suffix=f"-{page}.scd", delete=False, encoding="utf-8") as f:
                    f.write(text)
                sys.exit(f"scdoc does not take {page}: {r.stderr.decode()} (see {f.name})")
            text = r.stdout.decode()
        with open(os.path.join(out, page + ("" if scdoc else ".scd")), "w", encoding="utf-8") as f:
            f.write(text)


main()
