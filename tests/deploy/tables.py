"""The tables of docs/operations.md, made of the code that they describe, so that they cannot drift.

`python -m tests.deploy.tables` writes them between their marks; test_deploy.py checks that what stands there is what comes out here.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from tocsin.policy.durations import format_duration
from tocsin.runtime.settings import KIB, MIB, Settings, all_settings

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "operations.md"
RULES = ROOT / "deploy" / "prometheus" / "tocsin.rules.yaml"
KINDS = {"_counter": "counter", "_gauge": "gauge", "_histogram": "histogram"}
WORDS = {
    "level": "debug, info, warning, error",
    "format": "logfmt, json",
    "secret": "text",
    "address": "HOST:PORT",
    "store": "URL",
    "url": "URL",
}
CLIENTS_OWN = frozenset({"url", "token"})
"""Settings of the client commands: variables only."""
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as metrics.py defines it; `name` is what is asked for, `series` what is exposed."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def series(self) -> tuple[str, ...]:
        base = self.name.removesuffix("_total") if self.kind == "counter" else self.name
        return tuple(base + suffix for suffix in SUFFIXES[self.kind])


def metrics() -> list[Metric]:
    """Every metric of our own, in the order of metrics.py."""
    tree = ast.parse((ROOT / "tocsin/runtime/metrics.py").read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KINDS:
            name, meaning, *labels = [str(part.value) for part in node.args if isinstance(part, ast.Constant)]
            kind = KINDS[node.func.attr]
            found.append(Metric(f"tocsin_{name}{'_total' if kind == 'counter' else ''}", kind, tuple(labels), meaning))
    return found


def settings_table() -> str:
    """Flag, variable, default, bounds and reason of every setting."""
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    lines = ["| flag (variable) | default | allowed | why |", "|---|---|---|---|"]
    for setting in all_settings():
        field = fields[setting.name]
        shown = _size(setting.default) if field.metadata["kind"] == "bytes" else setting.default
        default = f"`{shown}`" if shown else "empty"
        flag = f"`{setting.variable}`" if setting.name in CLIENTS_OWN else f"`{setting.flag}`<br>`{setting.variable}`"
        lines.append(f"| {flag} | {default} | {_allowed(field)} | {setting.reason} |")
    return "\n".join(lines)


def _allowed(field: dataclasses.Field[object]) -> str:
    least, most, kind = field.metadata["least"], field.metadata["most"], field.metadata["kind"]
    match kind:
        case "seconds":
            shown = format_duration(round(least * 1000))
        case "milliseconds":
            shown = format_duration(least)
        case "bytes":
            shown = _size(str(least))
        case "count":
            shown = str(least)
        case "secret" if field.name not in CLIENTS_OWN:
            return "text, or `..._FILE`"
        case _:
            return str(WORDS.get(kind, kind))
    return f"{shown} to {most}" if most else f"from {shown}"


def _size(text: str) -> str:
    count = int(text)
    if count < KIB or count % KIB:
        return text
    return f"{count // MIB}MiB" if count % MIB == 0 else f"{count // KIB}KiB"


def metrics_table() -> str:
    """Name, type, labels, meaning and alarms of every metric."""
    alarms = _alarms()
    lines = ["| metric | type | labels | meaning | alarm |", "|---|---|---|---|---|"]
    for metric in metrics():
        watching = ", ".join(name for name, text in alarms.items() if any(re.search(rf"\b{series}\b", text) for series in metric.series))
        labels = ", ".join(metric.labels) or "-"
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} | {watching or '-'} |")
    return "\n".join(lines)


def _alarms() -> dict[str, str]:
    """Alert name -> its expression, with the recorded expressions that it uses."""
    text = RULES.read_text(encoding="utf-8")
    recorded = dict(re.findall(r"- record: (\S+)\n\s+expr: \|\n((?:\s{10,}.*\n)+)", text))
    alarms = {}
    for name, body in re.findall(r"- alert: (\w+)\n(.*?)annotations:", text, flags=re.DOTALL):
        alarms[name] = body + "".join(expression for record, expression in recorded.items() if record in body)
    return alarms


def put_in(page: str, name: str, table: str) -> str:
    """The page with a table between its marks."""
    pattern = rf"(<!-- {name}: .*?-->\n).*?(<!-- end of {name} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{table}\n{found[2]}", page, flags=re.DOTALL)


if __name__ == "__main__":
    written = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put_in(put_in(written, "settings", settings_table()), "metrics", metrics_table()), encoding="utf-8")
