r"""Label matchers: what a silence, a severity rule, a service or an inhibition says about an alert's labels.

Owns the matcher value, its test against labels, and the grammar Alertmanager has by default ("fallback" mode):

    severity=~"critical|page"     team="payments"     "서비스"!="결제"     {team="payments",cluster!~"test-.*"}

Two grammars are tried in turn. The classic one takes everything after the operator as the value (`foo=bar,i=0` is one
matcher) and knows the escapes \n, \" and \\ only. The UTF-8 one is made of tokens, knows the escapes of Go's strings,
and takes any label name. Where both accept, the classic reading holds, as in Alertmanager 0.28 to 0.33: a rule copied
from there means the same here.

Does not own a regex engine: policy is standard library only, and Python's own engine backtracks on what users write.
It is passed in as `compile_regex` (the real one is tocsin/runtime/regex.py).

Read `parse_matcher` and `parse_matchers` first, then the classic grammar, then the UTF-8 one.
"""

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class RegexPattern(Protocol):
    """A compiled pattern; `fullmatch` is anchored at both ends and returns None when the text does not match."""

    def fullmatch(self, text: str, /) -> object | None: ...


CompileRegex = Callable[[str], RegexPattern]
"""Compiles a pattern or raises a ValueError whose text can be shown to the one who wrote it."""


class MatchOp(enum.Enum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"

    @property
    def is_regex(self) -> bool:
        return self is MatchOp.REGEX or self is MatchOp.NOT_REGEX


# Looking a member up in its enumeration costs more than the test itself.
_EQUAL, _NOT_EQUAL, _REGEX = MatchOp.EQUAL, MatchOp.NOT_EQUAL, MatchOp.REGEX


class MatcherError(ValueError):
    """This is not a matcher. `position` counts characters from 0 in the text that was given."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; build it with `make_matcher` or a parser, which keep `pattern` in step with `op`."""

    name: str
    op: MatchOp
    value: str
    pattern: RegexPattern | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        assert (self.pattern is not None) is self.op.is_regex, "a pattern belongs to =~ and !~, and only to them"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """A label that is absent counts as empty, so `x=""` finds the alerts without x."""
        found = labels.get(self.name, "")
        if self.op is _EQUAL:
            return found == self.value
        if self.op is _NOT_EQUAL:
            return found != self.value
        assert self.pattern is not None
        return (self.pattern.fullmatch(found) is not None) is (self.op is _REGEX)


def make_matcher(name: str, op: MatchOp, value: str, compile_regex: CompileRegex) -> Matcher:
    """The matcher of known parts, as the JSON of a silence has them; MatcherError at position 0 for a bad pattern."""
    return _matcher(_Reading(name, op, value, 0), compile_regex)


def parse_matcher(text: str, compile_regex: CompileRegex) -> Matcher:
    """Read exactly one matcher, without braces (`team="payments"`), or raise MatcherError."""
    if text.startswith("{"):
        raise MatcherError("one matcher is written without braces: unexpected {", 0)
    if text.endswith("}"):
        raise MatcherError("one matcher is written without braces: unexpected } (quote a value it ends)", len(text) - 1)
    (matcher,) = _parse(text, _read_classic, _read_utf8_single, compile_regex)
    return matcher


def parse_matchers(text: str, compile_regex: CompileRegex) -> tuple[Matcher, ...]:
    """Read matchers joined by commas, with or without braces around them, or raise MatcherError.

    Nothing but blanks or `{}` gives no matchers, as in Alertmanager, and no matchers match everything: a caller that
    cannot mean that must refuse it.
    """
    return _parse(text, _read_classic_list, _read_utf8_list, compile_regex)


def matches_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)


def matcher_text(matcher: Matcher) -> str:
    """The canonical text: `parse_matcher` reads it back as the same matcher, and so does Alertmanager's strict mode."""
    plain = matcher.name and not _RESERVED.search(matcher.name)
    return f"{matcher.name if plain else _quoted(matcher.name)}{matcher.op.value}{_quoted(matcher.value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class _Reading(NamedTuple):
    """A matcher as read, its pattern not yet compiled."""

    name: str
    op: MatchOp
    value: str
    value_at: int


_Grammar = Callable[[str], list[_Reading]]


def _parse(text: str, classic: _Grammar, utf8: _Grammar, compile_regex: CompileRegex) -> tuple[Matcher, ...]:
    """The classic reading if there is one, else the UTF-8 one, else the error of the grammar that got further.

    A pattern that does not compile is an error of its grammar: `foo=~"\\U0001F642"` is read by the second.
    """
    surrogate = _SURROGATE.search(text)
    if surrogate:
        raise MatcherError("this character is half of a surrogate pair, not text", surrogate.start())
    try:
        return tuple(_matcher(reading, compile_regex) for reading in classic(text))
    except MatcherError as error:
        classic_error = error
    try:
        return tuple(_matcher(reading, compile_regex) for reading in utf8(text))
    except MatcherError as utf8_error:
        raise max(utf8_error, classic_error, key=lambda error: error.position) from None


def _matcher(reading: _Reading, compile_regex: CompileRegex) -> Matcher:
    pattern = None
    if reading.op.is_regex:
        try:
            pattern = compile_regex(reading.value)
        except ValueError as error:
            raise MatcherError(f"the value of {reading.name} is not a regular expression: {error}", reading.value_at) from error
    return Matcher(reading.name, reading.op, reading.value, pattern)


# What Go's unicode.IsSpace calls white space (Python's str.isspace has four more), and what the \s of its regexes does.
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_CLASSIC_BLANKS = "\t\n\f\r "


# The classic grammar: name, operator, and the rest of the text is the value.

_CLASSIC_HEAD = re.compile(rf"[{_CLASSIC_BLANKS}]*([a-zA-Z_:][a-zA-Z0-9_:]*)[{_CLASSIC_BLANKS}]*(=~|=|!=|!~)[{_CLASSIC_BLANKS}]*")
_CLASSIC_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
_CLASSIC_ESCAPE = re.compile(r'\\[n"\\]')
_CLASSIC_UNTIL_QUOTE = re.compile(r'(?:[^"\\]|\\.|\\\Z)*', re.DOTALL)


def _read_classic(text: str, offset: int = 0) -> list[_Reading]:
    """Read one matcher; `offset` is where `text` begins in what the user wrote."""
    head = _CLASSIC_HEAD.match(text)
    if head is None:
        raise MatcherError('expected a matcher such as name="value"', offset)
    raw = text[head.end() :].rstrip(_CLASSIC_BLANKS)
    value_at = offset + head.end()
    return [_Reading(head[1], MatchOp(head[2]), _classic_value(raw, value_at), value_at)]


def _classic_value(raw: str, value_at: int) -> str:
    quoted = raw.startswith('"')
    body, body_at = (raw[1:], value_at + 1) if quoted else (raw, value_at)
    before_quote = _CLASSIC_UNTIL_QUOTE.match(body)
    end = before_quote.end() if before_quote else 0
    if quoted and end == len(body):
        raise MatcherError("the value begins with a double quote that is not closed", value_at)
    if end < len(body) - quoted:
        raise MatcherError('a double quote inside a value is written \\"', body_at + end)
    return _CLASSIC_ESCAPE.sub(lambda escape: _CLASSIC_ESCAPES[escape[0]], body[:end])


def _read_classic_list(text: str) -> list[_Reading]:
    """Read matchers joined by commas that stand outside of quotes; each brace may be there or not."""
    begin = 1 if text.startswith("{") else 0
    end = len(text) - 1 if text.endswith("}") else len(text)
    readings: list[_Reading] = []
    for comma in _classic_commas(text, begin, end):
        readings += _read_classic(text[begin:comma], begin)
        begin = comma + 1
    last = text[begin:end].lstrip(_SPACES)
    if last:
        readings += _read_classic(last.rstrip(_SPACES), end - len(last))
    return readings


def _classic_commas(text: str, begin: int, end: int) -> Iterator[int]:
    in_quotes = escaped = False
    for at in range(begin, end):
        character = text[at]
        if character == ",":  # an escape stays open over a comma: odd, but so does Alertmanager
            if not in_quotes:
                yield at
            continue
        if character == '"' and not escaped:
            in_quotes = not in_quotes
        escaped = character == "\\" and not escaped


# The UTF-8 grammar: words, operators, commas and braces, with white space between them or not.

_RESERVED_CLASS = re.escape(_SPACES + "{}!=~,\\\"'`")
_RESERVED = re.compile(f"[{_RESERVED_CLASS}]")
_BLANK = re.compile(f"[{re.escape(_SPACES)}]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Kind(enum.Enum):
    OPEN = "{"
    CLOSE = "}"
    COMMA = "a comma"
    OPERATOR = "an operator"
    QUOTED = "a quoted word"
    BARE = "a word"
    END = "the end"


class _Token(NamedTuple):
    kind: _Kind
    text: str
    position: int


_TOKEN = re.compile(
    r"(?P<OPEN>\{)|(?P<CLOSE>\})|(?P<COMMA>,)|(?P<OPERATOR>=~|=|!=|!~)"
    rf'|(?P<QUOTED>"(?:[^"\\]|\\.)*")|(?P<BARE>[^{_RESERVED_CLASS}]+)',
    re.DOTALL,
)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while (position := _skip_blanks(text, position)) < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise MatcherError(_why_no_token(text[position]), position)
        assert found.lastgroup is not None
        tokens.append(_Token(_Kind[found.lastgroup], found[0], position))
        position = found.end()
    tokens.append(_Token(_Kind.END, "", len(text)))
    return tokens


def _skip_blanks(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _why_no_token(character: str) -> str:
    if character == '"':
        return "a double quote is not closed"
    if character == "!":
        return "expected an operator: = != =~ or !~"
    return f"{character} must stand inside double quotes"


def _read_utf8_single(text: str) -> list[_Reading]:
    readings = _read_utf8_list(text)
    if len(readings) != 1:
        raise MatcherError(f"expected one matcher, found {len(readings)}", readings[1].value_at if readings else 0)
    return readings


def _read_utf8_list(text: str) -> list[_Reading]:
    """Read `{ name op value , ... }`: the braces come as a pair or not at all, a comma may follow the last matcher."""
    tokens = _tokens(text)
    braced = tokens[0].kind is _Kind.OPEN
    at = 1 if braced else 0
    readings: list[_Reading] = []
    while tokens[at].kind not in (_Kind.CLOSE, _Kind.END):
        readings.append(_read_utf8_at(tokens, at))
        at += 3
        if tokens[at].kind is not _Kind.COMMA:
            break
        at += 1
    if braced:
        if tokens[at].kind is not _Kind.CLOSE:
            raise MatcherError("expected a comma or } here", tokens[at].position)
        at += 1
    if tokens[at].kind is _Kind.CLOSE:
        raise MatcherError("unexpected }: there is no { before it", tokens[at].position)
    if tokens[at].kind is not _Kind.END:
        raise MatcherError("expected the end of the matcher here; a value with such characters is quoted", tokens[at].position)
    return readings


def _read_utf8_at(tokens: list[_Token], at: int) -> _Reading:
    """Read one matcher from three tokens. The list ends with END, which no step accepts, so `at` stays inside it."""
    name = tokens[at]
    if name.kind not in (_Kind.BARE, _Kind.QUOTED):
        raise MatcherError("expected a label name here", name.position)
    op = tokens[at + 1]
    if op.kind is not _Kind.OPERATOR:
        raise MatcherError("expected an operator here: = != =~ or !~", op.position)
    value = tokens[at + 2]
    if value.kind not in (_Kind.BARE, _Kind.QUOTED):
        raise MatcherError('expected a value here (nothing is written "")', value.position)
    return _Reading(_word(name), MatchOp(op.text), _word(value), value.position)


def _word(token: _Token) -> str:
    return token.text if token.kind is _Kind.BARE else _unquoted(token)


_GO_UNIT = re.compile(
    r"""\\(?P<letter>[abfnrtv\\"])|\\x(?P<hex>[0-9a-fA-F]{2})|\\(?P<octal>[0-7]{3})"""
    r"""|\\u(?P<short>[0-9a-fA-F]{4})|\\U(?P<long>[0-9a-fA-F]{8})|(?P<literal>[^\\\n]+)"""
)
_GO_LETTERS = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}


def _unquoted(token: _Token) -> str:
    """The text of a double-quoted Go string: \\x and octal escapes are bytes, which together must be UTF-8."""
    body_end = len(token.text) - 1
    parts: list[bytes] = []
    at = 1
    while at < body_end:
        unit = _GO_UNIT.match(token.text, at, body_end)
        part = None if unit is None else _unit_bytes(unit)
        if unit is None or part is None:
            raise MatcherError(_why_no_unit(token.text[at : at + 2]), token.position + at)
        parts.append(part)
        at = unit.end()
    try:
        return b"".join(parts).decode("utf-8")
    except UnicodeDecodeError:
        raise MatcherError("the escapes in these quotes do not give UTF-8", token.position) from None


def _unit_bytes(unit: re.Match[str]) -> bytes | None:
    """The bytes of one escape or run of characters; None for a number that is no byte or no character."""
    kind, text = unit.lastgroup, unit[unit.lastgroup or 0]
    if kind == "literal":
        return text.encode("utf-8")
    if kind == "letter":
        return bytes((_GO_LETTERS[text],))
    number = int(text, 8 if kind == "octal" else 16)
    if kind in ("hex", "octal"):
        return bytes((number,)) if number <= 0xFF else None
    is_character = number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF
    return chr(number).encode("utf-8") if is_character else None


def _why_no_unit(text: str) -> str:
    if text.startswith("\n"):
        return "a line break inside quotes is written \\n"
    return f"{text} is not an escape; a backslash is written \\\\"
