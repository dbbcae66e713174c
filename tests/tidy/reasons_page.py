"""The table of reasons in docs/kubernetes.md, made from operator/plan/reasons.def: reasons_page.py writes it."""

import re

import sources

PAGE = "docs/kubernetes.md"
TABLE = "operator/plan/reasons.def"
_BEGIN = "<!-- made from operator/plan/reasons.def by tests/tidy/reasons_page.py -->\n"
_END = "<!-- end of what is made -->\n"
_GROUP = re.compile(r"^// Of (?P<what>[^:.\n]+)", re.MULTILINE)
_REASON = re.compile(r'^REASON\(\w+, (?P<code>\w+), (?P<severity>\w+),\s*(?P<texts>"(?:\\.|[^"\\])*"(?:\s*,?\s*"(?:\\.|[^"\\])*")*)\)',
                     re.MULTILINE)
_LITERALS = re.compile(r'"((?:\\.|[^"\\])*)"(\s*,)?')
_MARK = {"Note": "", "Wait": "waits", "Warning": "warning", "Problem": "**needs somebody**"}


def parse(text):
    """[(group, [(code, severity, meaning, next step)])] in the order of the table; notes without a next step are left out."""
    groups = []
    for line in re.split(r"\n(?=// Of |REASON)", text):
        group, reason = _GROUP.match(line), _REASON.match(line)
        if group:
            groups.append((group["what"].strip(), []))
        if reason:
            parts, current = [], ""
            for literal, comma in _LITERALS.findall(reason["texts"]):
                current += literal.replace('\\"', '"').replace("\\\\", "\\")
                if comma:
                    parts, current = [*parts, current], ""
            meaning, step = [*parts, current]
            groups[-1][1].append((reason["code"], reason["severity"], meaning, step))
    return groups


def table():
    lines = []
    for what, reasons in parse(sources.read(TABLE)):
        shown = [r for r in reasons if r[1] != "Note" or r[3]]
        if not shown:
            continue
        lines += ["", f"**Of {what}**", "", "| reason | | what it means | what to do |", "| --- | --- | --- | --- |"]
        for code, severity, meaning, step in shown:
            cells = [cell.replace("|", "\\|") for cell in (meaning, step or ("nothing, it goes on by itself" if severity == "Wait" else ""))]
            lines.append(f"| `{code}` | {_MARK[severity]} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines[1:]) + "\n"


def page(text):
    """The page with the table as it should be."""
    before, rest = text.split(_BEGIN)
    return before + _BEGIN + "\n" + table() + "\n" + _END + rest.split(_END)[1]


def check():
    text = sources.read(PAGE)
    if _BEGIN not in text or text != page(text):
        return [f"{PAGE}: the table of reasons has changed: python3 tests/tidy/reasons_page.py"]
    if len(re.findall(r"^REASON\(", sources.read(TABLE), re.MULTILINE)) != sum(len(r) for _, r in parse(sources.read(TABLE))):
        return [f"{TABLE}: a row that tests/tidy/reasons_page.py cannot read"]
    return []


if __name__ == "__main__":
    (sources.ROOT / PAGE).write_text(page(sources.read(PAGE)), encoding="utf-8")
