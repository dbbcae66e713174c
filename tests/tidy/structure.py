"""Braces of C++ text sorted into kinds, as far as house rules need: function lengths, coroutine lambdas."""

import dataclasses
import re

_CONTAINER = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")
_LAMBDA = re.compile(r"\]\s*(<[^{};]*>)?\s*(\([^{};]*\))?\s*(mutable|noexcept|constexpr|static|->[^{};]*|\s)*$")
_CONTROL = re.compile(r"^\s*(\}?\s*else\s+)?(if|for|while|switch|do|else|try|catch)\b")
_NAME = re.compile(r"([~A-Za-z_][\w:~]*|operator\s*[^\s(]+)\s*\(")


@dataclasses.dataclass
class Block:
    kind: str  # container, function, lambda, control, initializer, block
    name: str
    begin: int  # position of "{"
    end: int = -1
    parent: "Block | None" = None


def _kind(head, previous, parent):
    if _LAMBDA.search(head):
        return "lambda"
    if previous and not previous.isspace() and previous not in ")":
        return "initializer"
    outside = parent is None or parent.kind == "container"
    if outside:
        before_parens = head.split("(")[0]
        if _CONTAINER.search(before_parens) and "operator" not in before_parens:
            return "container"
        if head.rstrip().endswith("=") or "(" not in head:
            return "initializer"
        return "function"
    if _CONTROL.search(head):
        return "control"
    if _CONTAINER.search(head.split("(")[0]):
        return "container"
    if head.strip() == "":
        return "block"
    return "initializer" if previous != ")" and not head.rstrip().endswith(")") else "control"


def blocks(text):
    """All brace blocks of blanked C++ text without preprocessor lines, outermost first."""
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text,
                  flags=re.MULTILINE)
    found, stack, start = [], [], 0
    for position, char in enumerate(text):
        if char == "{":
            head = text[start:position]
            parent = stack[-1] if stack else None
            kind = _kind(head, text[position - 1] if position else "", parent)
            name = _NAME.search(head)
            block = Block(kind, name.group(1) if name else head.strip()[-40:], position, parent=parent)
            found.append(block)
            stack.append(block)
            if kind != "initializer":
                start = position + 1
        elif char == "}" and stack:
            block = stack.pop()
            block.end = position
            if block.kind != "initializer":
                start = position + 1
        elif char == ";" and (not stack or stack[-1].kind != "initializer"):
            start = position + 1
    return found
