"""The files under check, and C++ text with comments and literals blanked out (line numbers stay true)."""

import functools
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = (".cc", ".h")

_TOKEN = re.compile(
    r'(?P<raw>R"(?P<delimiter>[^()\s\\"]*)\(.*?\)(?P=delimiter)")'
    r"|(?P<line>//[^\n]*)"
    r"|(?P<block>/\*.*?\*/)"
    r'|(?P<string>"(?:\\.|[^"\\\n])*")'
    r"|(?P<char>(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+')",
    re.DOTALL,
)


@functools.cache
def tracked():
    """Paths, relative to the top, of every file of the project: what git knows, or all files of an exported tree."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=False)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:
        names = []
        for folder, folders, files in os.walk(ROOT):
            folders[:] = [f for f in folders if f not in ("build", ".git", ".cache", "node_modules", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
    return sorted(name for name in names if (ROOT / name).is_file())


def code():
    """The C++ files among them."""
    return [name for name in tracked() if name.endswith(CODE)]


@functools.cache
def read(name):
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def blank(text):
    """The same text with comments and the insides of literals turned into spaces, newlines kept."""

    def wipe(match):
        whole = match.group(0)
        inner = re.sub(r"[^\n]", " ", whole)
        if match.lastgroup in ("string", "char", "raw") and len(whole) >= 2 and "\n" not in whole:
            return '"' + inner[1:-1] + '"'
        return inner

    return _TOKEN.sub(wipe, text)


@functools.cache
def stripped(name):
    return blank(read(name))


def line_of(text, position):
    return text.count("\n", 0, position) + 1
