"""`tocsin explain`: what would happen to an alert, from a rules file or by the server's rules; and why a real incident paged whom.

tocsin explain --rules alert_rules.yaml 'alertname="DBDown"' 'severity="critical"'
tocsin explain INC-42 --person lee --at 03:12
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from tocsin.policy.explain import FIRST_AT, LAST_AT
from tocsin.policy.explain import explain as explain_labels
from tocsin.policy.matchers import MatcherError, MatchOp, parse_matcher
from tocsin.runtime.client import Json, Misused, incident_path
from tocsin.runtime.clock import SystemClock
from tocsin.runtime.commands.terminal import Form, clean, console_at, local_time, say, say_json, warn
from tocsin.runtime.explained import explanation_view
from tocsin.runtime.rulesfile import RulesInvalid, load_rules

EXIT_RULES_INVALID: Final = 4

_INCIDENT: Final = re.compile(r"(?:INC-)?[0-9]{1,12}", re.IGNORECASE)
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_EXPECTED_TIME: Final = "a time like 2026-11-23T02:00:00+09:00 (without a zone: that of this machine)"


def explain(about: Sequence[str], *, at: str | None, person: str | None, rules: str | None, url: str, form: Form) -> int:
    """Explain an incident, when it is the one thing named, else labels; 0, or the exit code of what went wrong."""
    if len(about) == 1 and _INCIDENT.fullmatch(about[0]):
        if rules is not None:
            raise Misused("an incident is explained by the server: leave --rules away")
        return _incident(about[0], at, person, url, form)
    if person is not None:
        raise Misused("--person asks about an incident: name it, like INC-42")
    return _labels(_read_labels(about), at, rules, url, form)


def _read_labels(texts: Sequence[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        try:
            matcher = parse_matcher(text, _no_regex)
        except MatcherError as error:
            raise Misused(f"{clean(text)} is neither an incident nor a label ({error.message}): write 'name=\"value\"'") from None
        if matcher.op is not MatchOp.EQUAL or "=" in matcher.name:
            raise Misused(f"{clean(text)} does not say which value the label has: write 'name=\"value\"'")
        if labels.setdefault(matcher.name, matcher.value) != matcher.value:
            raise Misused(f"the label {clean(matcher.name)} is given twice")
    return {name: value for name, value in labels.items() if value}


def _no_regex(pattern: str) -> Json:
    raise ValueError("an alert has values, not patterns")


# --- labels ----------------------------------------------------------------------------------------------------------------------------


def _labels(labels: Mapping[str, str], at: str | None, rules: str | None, url: str, form: Form) -> int:
    if not labels:
        raise Misused("no label has a value: write 'name=\"value\"'")
    instant = None if at is None else _instant(at)
    if rules is not None:
        return _by_file(labels, instant, rules, form)
    query = [("label", f"{name}={value}") for name, value in labels.items()]
    if instant is not None:
        query.append(("at", instant.isoformat()))
    _say(console_at(url).get(f"/api/v1/explain?{urlencode(query)}"), form)
    return 0


def _by_file(labels: Mapping[str, str], instant: datetime | None, name: str, form: Form) -> int:
    try:
        text = Path(name).read_text(encoding="utf-8")
        rules = load_rules(text, file_name=name, environment=os.environ, read_file=lambda file: Path(file).read_text(encoding="utf-8"))
    except RulesInvalid as error:
        for problem in error.problems:
            warn(clean(problem))
        return EXIT_RULES_INVALID
    except (OSError, UnicodeDecodeError) as error:
        warn(f"{clean(name)} cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8'})")
        return EXIT_RULES_INVALID
    at = SystemClock().now_ms() if instant is None else round(instant.timestamp() * 1000)
    _say(explanation_view(explain_labels(labels, at, rules)).model_dump(mode="json"), form)
    return 0


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.upper()).astimezone()
        if FIRST_AT <= found.timestamp() * 1000 <= LAST_AT:
            return found
        raise ValueError("out of range")
    except (ValueError, OverflowError):
        raise Misused(f"{clean(text)} is not {_EXPECTED_TIME}") from None


def _say(explanation: Json, form: Form) -> None:
    if form is Form.JSON:
        say_json(explanation)
        return
    for line in describe(explanation):
        say(line)


def describe(explanation: Mapping[str, Json]) -> list[str]:
    """The lines that tell a person what would happen to an alert."""
    labels = ", ".join(f'{clean(name)}="{clean(value)}"' for name, value in explanation["labels"].items())
    head = f"severity {explanation['severity']}, service {clean(explanation['service'])}, ladder {clean(explanation['ladder'])}"
    lines = [f"{labels} at {local_time(explanation['at'])}", f"  {head}, if nobody answers:"]
    return [*lines, "", *_steps(explanation["steps"])]


def _steps(steps: Sequence[Mapping[str, Json]]) -> Iterator[str]:
    """Each sentence with its time, when that is another one, and the line of its rule behind it."""
    last = ""
    for step in steps:
        when = local_time(step["at"]) if step.get("at") else ""
        if when and when != last:
            yield f"  {when}"
            last = when
        about = f"{step['about']}: " if step["about"] in ("gap", "last resort", "inhibition") else ""
        place = f"  [{clean(step['place'])}]" if step.get("place") else ""
        quoted = f"  (history {step['entry']})" if step.get("entry") else ""
        yield f"  {'    ' if last else ''}{about}{clean(step['said'])}{place}{quoted}"


# --- an incident -----------------------------------------------------------------------------------------------------------------------


def _incident(name: str, at: str | None, person: str | None, url: str, form: Form) -> int:
    console = console_at(url)
    query = {} if person is None else {"person": person}
    if at is not None:
        found = _CLOCK.fullmatch(at)
        instant = _instant(at) if found is None else _of_day(found, console.get(incident_path(name))["opened_at"])
        query["at"] = instant.isoformat()
    explanation = console.get(incident_path(name, "explain"), query)
    if form is Form.JSON:
        say_json(explanation)
    else:
        for line in describe_incident(explanation):
            say(line)
    return 0


def _of_day(found: re.Match[str], opened_at: str) -> datetime:
    """The first time, from the minute of the opening on, at which the clocks of this machine showed that."""
    opened = datetime.fromisoformat(opened_at).astimezone().replace(second=0, microsecond=0)
    asked = datetime.combine(opened.date(), time(int(found[1]), int(found[2]))).astimezone()
    if asked >= opened:
        return asked
    return datetime.combine(opened.date() + timedelta(days=1), asked.time()).astimezone()


def describe_incident(explanation: Mapping[str, Json]) -> list[str]:
    """The lines that tell a person why people were paged, and the entries of the history that say so."""
    lines = [clean(explanation["answer"]), "", *_steps(explanation["steps"])]
    if explanation["quoted"]:
        lines += ["", "  history:"]
    for entry in explanation["quoted"]:
        inputs = ", ".join(f"{clean(name)}={clean(value)}" for name, value in entry["inputs"].items())
        said = (
            f"{entry['version']:>5}  {local_time(entry['at'])}  {clean(entry['actor'])}  {clean(entry['event'])}  {clean(entry['reason'])}"
        )
        lines.append(f"  {said}  ({inputs})" if inputs else f"  {said}")
    return lines
