"""What a schema file says, as plain data. parse.py fills it, check.py judges it, emit_*.py read it."""

from dataclasses import dataclass, field
from typing import Optional

# Every type that is not a struct: wire bytes (None: it varies) and the C++ type that holds it.
PRIMITIVES = {
    "bool": (1, "bool"),
    "i8": (1, "std::int8_t"),
    "i16": (2, "std::int16_t"),
    "u16": (2, "std::uint16_t"),
    "i32": (4, "std::int32_t"),
    "u32": (4, "std::uint32_t"),
    "i64": (8, "std::int64_t"),
    "f64": (8, "double"),
    "uuid": (16, "common::Uuid"),
    "string": (None, "std::string"),
    "bytes": (None, "common::Bytes"),
    "records": (None, "Chunks"),
}
INTEGER_RANGES = {
    "i8": (-(2**7), 2**7 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "u16": (0, 2**16 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "u32": (0, 2**32 - 1),
    "i64": (-(2**63), 2**63 - 1),
}
VERSION_MAX = 32767


class SchemaError(Exception):
    """What is wrong in a schema file and how to mend it, with its place: `file:line: problem; mend`."""

    def __init__(self, path, line, problem, mend):
        super().__init__(f"{path}:{line}: {problem}; {mend}")


@dataclass(frozen=True)
class Versions:
    """A closed range of versions. `3+` is kept as 3..VERSION_MAX until it is cut to its message's range."""

    low: int
    high: int

    def contains(self, other):
        return self.low <= other.low and other.high <= self.high

    def cut(self, other):
        """The common part, or None."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Versions(low, high) if low <= high else None

    def __str__(self):
        if self.high == VERSION_MAX:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}..{self.high}"


@dataclass
class Field:
    line: int
    name: str
    base: str  # a key of PRIMITIVES or the name of a struct
    array: bool
    nullable: Optional[Versions]  # in which versions null is allowed
    versions: Versions
    default: Optional[str]  # as written; None: the zero value of the type
    tag: Optional[int]
    tag_versions: Optional[Versions]
    never_flexible: bool  # keeps the old string form even in flexible versions (client_id of the header)
    comment: str
    fields: list = field(default_factory=list)  # of the struct, when base names one

    @property
    def is_struct(self):
        return self.base not in PRIMITIVES


@dataclass
class Message:
    """A request, a response, a header, or the key or value of a record: the root struct."""

    name: str
    kind: str  # request, response, header, key, value
    line: int
    versions: Versions
    flexible: Optional[Versions]
    comment: str
    fields: list = field(default_factory=list)


@dataclass
class Schema:
    """One file: an API with request and response, a header, or a record with key and value."""

    path: str
    stem: str  # of the generated files
    name: str
    line: int
    kind: str  # api, header, record
    key: Optional[int]  # of an api
    type: Optional[int]  # of a record: the version in front of its keys
    versions: Versions
    announced: int  # the lowest version that the ApiVersions answer claims
    flexible: Optional[Versions]
    comment: str
    messages: list = field(default_factory=list)


def walk(fields, path=()):
    """Every field below, depth first, as (path of names, field)."""
    for f in fields:
        here = path + (f.name,)
        yield here, f
        yield from walk(f.fields, here)
