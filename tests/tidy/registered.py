"""No dead file: every source is listed in CMake, every header is included, every script and test is used."""

import os
import re

import sources


def _cmake_text(path):
    """All CMakeLists.txt from the file's folder up to the top, as {folder: text}."""
    folder = os.path.dirname(path)
    while True:
        name = os.path.join(folder, "CMakeLists.txt")
        if (sources.ROOT / name).is_file():
            yield folder, sources.read(name)
        if not folder:
            return
        folder = os.path.dirname(folder)


def is_listed(path):
    for folder, text in _cmake_text(path):
        relative = re.escape(os.path.relpath(path, folder or "."))
        if re.search(rf"(?<![\w/.-]){relative}(?![\w.-])", text):
            return True
        if re.search(rf"\$\{{CMAKE_SOURCE_DIR\}}/{re.escape(path)}", text):
            return True
    return False


def check():
    cmake_modules = "".join(sources.read(n) for n in sources.tracked() if n.endswith(".cmake"))
    included = set()
    # Generated code includes as well: the generators' text is read for it.
    for name in sources.code() + [n for n in sources.tracked() if n.endswith(".py")]:
        included.update(re.findall(r'#\s*include\s*"([^"]+)"', sources.read(name)))
    problems = []
    for name in sources.code():
        if name.endswith(".cc"):
            if not is_listed(name) and name not in cmake_modules:
                problems.append(f"{name}: no CMakeLists.txt lists it")
        elif name not in included:
            problems.append(f"{name}: nothing includes it")
    others = {n: sources.read(n) for n in sources.tracked()
              if n.endswith((".py", ".sh", ".txt", ".cmake", ".md", ".yml", ".cc")) or n.startswith(("scripts/", ".ci/", "Dockerfile"))}
    for name in sources.tracked():
        if name.endswith((".py", ".sh")):
            stem = os.path.basename(name).removesuffix(".py")
            if re.match(r"test_|conftest$", stem) or stem.endswith("_test"):
                continue  # found by their names
            if not any(re.search(rf"\b{re.escape(stem)}\b", text) for n, text in others.items() if n != name):
                problems.append(f"{name}: nothing mentions it")
    return problems
