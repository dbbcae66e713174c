"""docs/millctl.md shows every command as the program itself explains it.

page_test.py MILLCTL PAGE   compares; with REWRITE=1 in the environment it writes the reference anew.
"""

import os
import re
import subprocess
import sys

MARK = "## Reference\n"


def help_of(program, path):
    environment = {name: value for name, value in os.environ.items() if name != "MILLRACE_BROKER"}
    return subprocess.run([program, *path, "--help"], check=True, capture_output=True, text=True, env=environment).stdout


def subcommands(text):
    block = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.MULTILINE)
    return re.findall(r"^  ([a-z][a-z-]*)", block.group(1), re.MULTILINE) if block else []


def sections(program, path=()):
    """The help of a command and of all below it, as Markdown."""
    text = help_of(program, path)
    lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
    yield f"### {' '.join(('millctl', *path))}\n\n```text\n{lines}\n```\n"
    for name in subcommands(text):
        yield from sections(program, (*path, name))


def main():
    program, page = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    head, mark, _ = text.partition(MARK)
    if not mark:
        sys.exit(f"{page}: there is no line {MARK.strip()!r}")
    wanted = head + MARK + "What `--help` prints; `cli/page_test.py` compares it.\n\n" + "\n".join(sections(program))
    if wanted == text:
        return
    if os.environ.get("REWRITE"):
        with open(page, "w", encoding="utf-8") as file:
            file.write(wanted)
        return
    sys.exit(f"{page} differs from what the program prints; write it anew: REWRITE=1 python3 cli/page_test.py {program} {page}")


main()
