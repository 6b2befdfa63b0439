"""Bodies as senders send them, gone wrong: a valid document with a few places changed, and its bytes damaged on the way.

Owns where a change may be made and what stands there afterwards. Knows nothing of any format: what is valid comes from captured bodies.
"""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Json = Any

CHANGES_MAX = 4
DAMAGES_MAX = 2


def nested(depth: int) -> Json:
    """Lists inside each other."""
    found: Json = []
    for _ in range(depth):
        found = [found]
    return found


TIMES = ["0001-01-01T00:00:00Z", "0002-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999999-23:59", "2026-02-29T00:00:00Z", "2026-11-22"]
TIMES += ["2026-W01-1", "20261122T090000Z", "2026-11-22T09:00:60Z", "2026-11-22T24:00:00Z", "2026-11-22T09:00:00+99:99", "2026-11-22T09:00"]
TEXTS = ["", "\0", "\ud800", "a\udfffb", "\ufeff", "\u202e", "firing", "resolved", "suppressed", "4", "é" * 600, "x" * 9_000, "x" * 70_000]
TEXTS += ["//[", "http://[::1", "javascript:alert(1)", "${HOME}", "{{ 7 * 7 }}", "\r\nX-Injected: 1", "$..alertname"]
NUMBERS = [0, -1, 4, 1.5, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, float("nan"), float("inf"), float("-inf"), 1e308, 5e-324]
ODD: list[Json] = [None, True, False, [], {}, [None], {"": ""}, {"labels": {}}, nested(150), nested(250), *NUMBERS, *TEXTS, *TIMES]
NAMES = [
    "",
    "labels",
    "annotations",
    "alerts",
    "status",
    "startsAt",
    "endsAt",
    "version",
    "alertname",
    "severity",
    "\0",
    "\ud800",
    "n" * 200,
    "a b",
]

odd_values: SearchStrategy[Json] = st.sampled_from(ODD) | st.text(max_size=12) | st.integers() | st.floats()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents that are valid; a failure shows what became of one of them, not all."""

    name: str
    documents: Sequence[Json] = field(repr=False)


def _places(value: Json, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    found = [path]
    inner = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, each in inner:
        found += _places(each, (*path, key))
    return found


def _at(document: Json, path: Sequence[Any]) -> Json:
    for key in path:
        document = document[key]
    return document


@st.composite
def changed(draw: DrawFn, corpus: Corpus, changes_max: int = CHANGES_MAX) -> Json:
    """A document with some of its values replaced, left out, doubled, renamed or wrapped."""
    root = [copy.deepcopy(draw(st.sampled_from(corpus.documents)))]
    for _ in range(draw(st.integers(0, changes_max))):
        path = (0, *draw(st.sampled_from(_places(root[0])[:400])))
        holder, key = _at(root, path[:-1]), path[-1]
        match draw(st.sampled_from(["replace", "replace", "replace", "leave out", "double", "rename", "wrap", "swap"])):
            case "leave out" if len(path) > 1:
                del holder[key]
            case "double" if isinstance(holder, list) and len(path) > 1:
                holder += [holder[key]] * draw(st.sampled_from([1, 2, 30]))
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES) | st.text(max_size=5))] = holder.pop(key)
            case "wrap":
                holder[key] = draw(st.sampled_from([[holder[key]], {"alerts": holder[key]}, {"labels": holder[key]}]))
            case "swap":
                holder[key] = copy.deepcopy(_at(root, (0, *draw(st.sampled_from(_places(root[0])[:400])))))
            case _:
                holder[key] = copy.deepcopy(draw(odd_values))
    return root[0]


def as_text(document: Json, *, ascii_only: bool = True) -> bytes:
    """A document as a careless program would write it: NaN, half surrogate pairs and numbers of any length."""
    return json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Sent:
    """A body on its way. `document` is what it says, None when its bytes were damaged and nobody can know."""

    raw: bytes
    encoding: str = ""
    document: Json = None
    whole: bool = False


@st.composite
def bodies(draw: DrawFn, corpus: Corpus) -> Sent:
    """A changed document as bytes, half of them damaged, a fifth compressed."""
    document = draw(changed(corpus))
    raw = as_text(document, ascii_only=draw(st.booleans()))
    whole = draw(st.booleans())
    for _ in range(0 if whole else draw(st.integers(1, DAMAGES_MAX))):
        raw = draw(_damaged(raw))
    match draw(st.sampled_from(["", "", "", "", "gzip", "deflate", "cut gzip"])):
        case "gzip":
            return Sent(gzip.compress(raw, 1), "gzip", document, whole)
        case "deflate":
            return Sent(zlib.compress(raw), "deflate", document, whole)
        case "cut gzip":
            return Sent(gzip.compress(raw, 1)[: draw(st.integers(0, 60))], "gzip")
        case _:
            return Sent(raw, "", document, whole)


def _damaged(raw: bytes) -> SearchStrategy[bytes]:
    """Bytes cut, inserted, doubled, in another encoding, or with a key twice."""
    at = st.integers(0, len(raw))
    pieces = [
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xc0\x80",
        b"//x\n",
        b"]",
        b"}",
        b",",
        b'"',
        b"\\",
        b"\\ud800",
        b"\\u0000",
        b"NaN",
    ]
    pieces += [
        b"-Infinity",
        b"9" * 5_000,
        b"1e999",
        b"[" * 3_000,
        b'{"a":' * 3_000,
        b'{"labels":{"a":"b"}},',
        b'"labels":{"z":7},',
        b'"alerts":[],',
    ]
    return st.one_of(
        at.map(lambda end: raw[:end]),
        st.tuples(at, st.sampled_from(pieces) | st.binary(max_size=4)).map(lambda found: raw[: found[0]] + found[1] + raw[found[0] :]),
        st.tuples(at, st.integers(1, 8)).map(lambda found: raw[: found[0]] + raw[found[0] + found[1] :]),
        st.sampled_from(["utf-16", "utf-32-be", "utf-7", "latin-1", "utf-8-sig"]).map(
            lambda name: raw.decode("utf-8", "replace").encode(name, "replace")
        ),
        st.sampled_from([b"{", b'{"', b"["]).map(lambda mark: raw.replace(mark, mark + b'"labels":7,' if mark == b"{" else mark + mark, 1)),
        st.sampled_from([raw + raw, raw + b"\0", b" \t\r\n" + raw, b"data=" + raw, b""]),
    )
