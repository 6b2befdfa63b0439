"""YAML 1.2 text as plain values, with the line and column of every key and value.

Owns the reading: duplicate keys, tags, other YAML versions and what cannot be text are problems with their place; `${NAME}` in a value is
replaced from the environment. Owns `Problem`, which everything that checks a rules file reports. Does not know what a rules file contains.

Only the parser of ruamel.yaml is used and its events are folded here, because its constructors turn `2026-01-05` and `1_0` into dates and
numbers, keep `<<`, and recurse as deep as the text says. Plain scalars are whole numbers, true, false or nothing; all others stay text.

Read `read_yaml` first, then `_Folder` (events to nodes) and `_Flattener` (nodes to values and places).
"""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml import events as yaml_events
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

TEXT_LENGTH_MAX = 4 * 1024 * 1024
"""Characters of one file; some 60,000 lines, which take seconds to read."""

NODES_MAX = 500_000
"""Values of one file, those that an alias repeats counted each time: a few lines of aliases can mean billions."""

DEPTH_MAX = 32
"""Levels inside each other; a rules file needs six."""

TAG_LENGTH_MAX = 10_000
"""Characters of a word with a `!`. Tags are refused anyway, but the parser takes minutes to read one of millions of characters."""

SHOWN_LENGTH_MAX = 60

Plain: TypeAlias = "str | int | bool | list[Plain] | dict[str, Plain] | None"
Path: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong at a place of a file; lines and columns count from 1, `path` is like `services[0].matchers[1]`."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


def path_text(path: Path) -> str:
    """Write a path as people do: `ladders.standard.rungs.1`, `services[0].matchers[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{bare(part)}" if text else bare(part)
    return text


def bare(text: str) -> str:
    """Make a foreign text fit for a line of output: short, and without what would break or hide it."""
    short = text if len(text) <= SHOWN_LENGTH_MAX else text[: SHOWN_LENGTH_MAX - 3] + "..."
    return "".join(character if character.isprintable() else "?" for character in short)


def shown(text: str) -> str:
    """Quote a foreign text for a message."""
    return f'"{bare(text)}"'


def did_you_mean(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return `, did you mean "x"?` when one of the known names is near, else nothing."""
    near = difflib.get_close_matches(name[:SHOWN_LENGTH_MAX], list(known), n=1, cutoff=likeness)
    return f", did you mean {shown(near[0])}?" if near else ""


@dataclass(slots=True)
class Node:
    """A value as parsed: text (`plain` if it may be a number), a list, or pairs; `size` counts what is in it."""

    line: int
    column: int
    index: int
    value: str | list[Node] | list[tuple[Node, Node]]
    style: str | None = None
    plain: bool = False
    is_mapping: bool = False
    size: int = 1


@dataclass(slots=True)
class Document:
    """The values of a file and where they stand."""

    file: str
    text: str
    value: Plain = None
    problems: list[Problem] = field(default_factory=list)
    value_nodes: dict[Path, Node] = field(default_factory=dict)
    key_nodes: dict[Path, Node] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Where a value stands; for one that is missing, what should hold it."""
        while path and path not in self.value_nodes:
            path = path[:-1]
        node = self.value_nodes.get(path)
        return (1, 1) if node is None else (node.line, node.column)

    def key_place(self, path: Path) -> Place:
        """Where a key of a mapping stands."""
        node = self.key_nodes.get(path)
        return self.place(path) if node is None else (node.line, node.column)

    def place_inside(self, path: Path, position: int) -> Place:
        """Where a character of a text stands, if it is written on one line as it reads; else where the text begins."""
        node = self.value_nodes.get(path)
        if node is None or not isinstance(node.value, str):
            return self.place(path)
        start = node.index + (1 if node.style in ("'", '"') else 0)
        if node.style in ("|", ">") or not self.text.startswith(node.value[:position], start) or "\n" in node.value[:position]:
            return node.line, node.column
        return node.line, node.column + start - node.index + position

    def problem(self, path: Path, message: str, *, at: Place | None = None) -> Problem:
        """Make a problem of a value."""
        line, column = self.place(path) if at is None else at
        while path and isinstance(path[-1], int) and path not in self.value_nodes:
            path = path[:-1]  # a single text that stands for a list of one
        return Problem(self.file, line, column, path_text(path), message)

    def add(self, path: Path, message: str, *, at: Place | None = None) -> None:
        """Report a problem of a value."""
        self.problems.append(self.problem(path, message, at=at))


class _Refused(Exception):
    """The text cannot be read on."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


# What the parser of ruamel.yaml raises on some texts beside its own errors (seen: chr() out of range, an assertion on %YAML).
_PARSER_FAULTS = (ValueError, ArithmeticError, AssertionError, LookupError, TypeError, AttributeError, RecursionError)


def read_yaml(text: str, *, file: str, environment: Mapping[str, str]) -> Document:
    """Read one document. What is wrong is in `problems`; `value` holds whatever could be read beside it, None for an empty file."""
    document = Document(file, text)
    try:
        root = _fold(text)
    except _Refused as refused:
        document.problems.append(Problem(file, refused.line, refused.column, "", refused.message))
        return document
    if root is not None:
        flattener = _Flattener(document, environment)
        document.value = flattener.flatten(root, ())
    return document


_LONG_WORD = re.compile(rf"(?<!\S)\S{{{TAG_LENGTH_MAX},}}")


def _fold(text: str) -> Node | None:
    if len(text) > TEXT_LENGTH_MAX:
        raise _Refused(f"the file has {len(text)} characters, at most {TEXT_LENGTH_MAX} are read", 1, 1)
    for word in _LONG_WORD.finditer(text):
        if "!" in word[0]:
            at = word.start() + word[0].index("!")
            raise _Refused(f"a word of {TAG_LENGTH_MAX} characters or more has a ! in it", *_place_of(at, text))
    folder = _Folder()
    try:
        for event in YAML(typ="safe", pure=True).parse(io.StringIO(text)):
            folder.take(event)
    except ReaderError as error:
        code = ord(text[error.position]) if error.position < len(text) else 0
        raise _Refused(f"the character U+{code:04X} is not allowed here", *_place_of(error.position, text)) from None
    except MarkedYAMLError as error:
        raise _syntax_error(error, text) from None
    except (YAMLError, *_PARSER_FAULTS) as error:
        raise _Refused(f"not YAML: {bare(str(error))}", folder.line, folder.column) from None
    return folder.root


def _place_of(position: int, text: str) -> Place:
    before = text[:position]
    return before.count("\n") + 1, position - before.rfind("\n")


def _syntax_error(error: MarkedYAMLError, text: str) -> _Refused:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    message = bare((error.problem or error.context or "not YAML").strip())
    if "\\t" in message or "\t" in message:
        message = "a tab: lines are indented with spaces"
    lines = text.splitlines()
    if any("${" in each and "{" in each.replace("${", "") for each in lines[max(0, line - 1) : line + 1]):
        message += " (inside braces write '${NAME}' in quotes)"
    return _Refused(f"not YAML: {message}", line + 1, column + 1)


class _Folder:
    """Folds the parser's events into one node, without recursion."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.line = 1
        self.column = 1
        self._open: list[Node] = []
        self._keys: list[Node | None] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: yaml_events.Event) -> None:
        mark = event.start_mark
        self.line, self.column = mark.line + 1, mark.column + 1
        match event:
            case yaml_events.DocumentStartEvent():
                self._begin(event)
            case yaml_events.AliasEvent():
                self._add(self._aliased(event.anchor))
            case yaml_events.ScalarEvent():
                node = self._node(event.tag, event.value, mark.index)
                node.style = event.style
                node.plain = event.style is None and event.tag is None
                self._anchor(event.anchor, node)
                self._add(node)
            case yaml_events.SequenceStartEvent() | yaml_events.MappingStartEvent():
                node = self._node(event.tag, [], mark.index)
                node.is_mapping = isinstance(event, yaml_events.MappingStartEvent)
                self._anchor(event.anchor, node)
                self._open.append(node)
                self._keys.append(None)
                if len(self._open) > DEPTH_MAX:
                    raise self._refusal(f"more than {DEPTH_MAX} levels inside each other")
            case yaml_events.SequenceEndEvent() | yaml_events.MappingEndEvent():
                self._keys.pop()
                self._add(self._open.pop())

    def _begin(self, event: yaml_events.DocumentStartEvent) -> None:
        if self.root is not None:
            raise self._refusal("a second document begins here, expected one per file")
        if event.version is not None and tuple(event.version) != (1, 2):
            raise self._refusal("this YAML version is not read, expected 1.2 (leave the %YAML line away)")

    def _node(self, tag: object, value: str | list[Node], index: int) -> Node:
        if tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._refusal("tags such as !this are not used in this file")
        return Node(self.line, self.column, index, value)

    def _anchor(self, name: str | None, node: Node) -> None:
        if name is not None:
            self._anchors[name] = node

    def _aliased(self, name: str) -> Node:
        node = self._anchors.get(name)
        if node is None:
            raise self._refusal(f"the alias *{bare(name)} has no anchor &{bare(name)} before it")
        if any(node is each for each in self._open):
            raise self._refusal(f"the alias *{bare(name)} stands inside of what it names")
        return node

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.size += node.size
        if parent.size > NODES_MAX:
            raise self._refusal(f"more than {NODES_MAX} values")
        if not parent.is_mapping:
            parent.value.append(node)  # type: ignore[union-attr, arg-type]  # an open node holds nodes or pairs
            return
        key = self._keys[-1]
        if key is None:
            self._keys[-1] = node
        else:
            parent.value.append((key, node))  # type: ignore[union-attr, arg-type]  # an open node holds nodes or pairs
            self._keys[-1] = None

    def _refusal(self, message: str) -> _Refused:
        return _Refused(message, self.line, self.column)


_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_VARIABLE = re.compile(r"\$(\$?)\{([^}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Flattener:
    """Turns nodes into plain values and notes where each stands. As deep as DEPTH_MAX, except through aliases: those add up to it."""

    def __init__(self, document: Document, environment: Mapping[str, str]) -> None:
        self._document = document
        self._environment = environment

    def flatten(self, node: Node, path: Path) -> Plain:
        self._document.value_nodes[path] = node
        if len(path) > DEPTH_MAX:
            self._document.add(path, f"more than {DEPTH_MAX} levels inside each other")
            return None
        if isinstance(node.value, str):
            return self._scalar(node, node.value, path)
        if node.is_mapping:
            return self._mapping(node, path)
        return [self.flatten(child, (*path, index)) for index, child in enumerate(node.value) if isinstance(child, Node)]

    def _mapping(self, node: Node, path: Path) -> dict[str, Plain]:
        found: dict[str, Plain] = {}
        for pair in node.value:
            assert isinstance(pair, tuple), "a mapping holds pairs"
            key_node, value_node = pair
            key = key_node.value
            at = key_node.line, key_node.column
            if not isinstance(key, str):
                self._document.add(path, "a key is a list or a mapping, expected text", at=at)
            elif _SURROGATE.search(key):
                self._document.add(path, "a key holds half of a surrogate pair, which is not text", at=at)
            elif key == "<<" and key_node.plain:
                self._document.add((*path, key), "merge keys (<<) are not part of YAML 1.2: write the keys out", at=at)
            elif key in found:
                first, _ = self._document.key_place((*path, key))
                self._document.add((*path, key), f"duplicate key {shown(key)}, first written in line {first}", at=at)
            else:
                self._document.key_nodes[*path, key] = key_node
                found[key] = self.flatten(value_node, (*path, key))
        return found

    def _scalar(self, node: Node, text: str, path: Path) -> Plain:
        if node.plain:
            if text in _WORDS:
                return _WORDS[text]
            if _WHOLE.fullmatch(text):
                return int(text)
        text = _VARIABLE.sub(lambda found: self._variable(found, path), text)
        if _SURROGATE.search(text):
            self._document.add(path, "it holds half of a surrogate pair, which is not text")
            return ""
        return text

    def _variable(self, found: re.Match[str], path: Path) -> str:
        escaped, name = found[1], found[2]
        if escaped:
            return f"${{{name}}}"
        if not _VARIABLE_NAME.fullmatch(name):
            return found[0]  # a regex may hold ${
        value = self._environment.get(name)
        if value is None:
            self._document.add(path, f"the environment has no variable {bare(name)}")
            return found[0]
        return value
