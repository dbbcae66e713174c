"""Files stay short enough to read in one go, functions short enough to see at once."""

import ast
import sys

import sources
import structure

FILE_LINES_WARN = 600
FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70


def long_functions(path, text):
    """Problems of one C++ file; `text` is blanked."""
    problems = []
    for block in structure.blocks(text):
        if block.kind != "function" or block.end < 0:
            continue
        lines = text.count("\n", block.begin, block.end) + 1
        if lines > FUNCTION_LINES_MAX:
            where = sources.line_of(text, block.begin)
            problems.append(f"{path}:{where}: {block.name} has {lines} lines (at most {FUNCTION_LINES_MAX})")
    return problems


def long_python(path, text):
    problems = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                problems.append(f"{path}:{node.lineno}: {node.name} has {lines} lines (at most {FUNCTION_LINES_MAX})")
    return problems


def check():
    problems = []
    for name in sources.tracked():
        if not name.endswith(sources.CODE + (".py", ".proto", ".sh", ".cmake")):
            continue
        lines = sources.read(name).count("\n")
        if lines > FILE_LINES_MAX:
            problems.append(f"{name}: {lines} lines (at most {FILE_LINES_MAX})")
        elif lines > FILE_LINES_WARN:
            print(f"warning: {name}: {lines} lines, over {FILE_LINES_WARN} needs a good reason", file=sys.stderr)
        if name.endswith(sources.CODE):
            problems += long_functions(name, sources.stripped(name))
        elif name.endswith(".py"):
            problems += long_python(name, sources.read(name))
    return problems
