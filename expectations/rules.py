"""How a rule is written down and what its result says. No import of Great Expectations here: it costs seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One expectation on a profile table `ops.<profile>`.

    `kind` is a class of great_expectations.expectations and `arguments` its keyword arguments; `where` is a (column,
    value) that limits the rows it looks at. `identify` are the columns that name an unexpected row in a message, the
    first of them the table that the row stands for.
    """

    name: str
    profile: str
    kind: str
    arguments: Mapping[str, Any]
    severity: Severity
    remedy: str
    where: tuple[str, str]
    identify: Sequence[str]


@dataclass(frozen=True)
class Suite:
    """The rules of one source area or one KPI family."""

    name: str
    rules: Sequence[Rule]


@dataclass(frozen=True)
class Finding:
    """What one rule found about one table. `rows` are up to ten unexpected rows as text; `unexpected` counts all."""

    suite: str
    rule: str
    expectation: str
    table: str
    severity: Severity
    unexpected: int
    rows: Sequence[str]
    remedy: str


@dataclass(frozen=True)
class SuiteResult:
    """What became of one suite: the rules it holds, those that passed, and what the others found."""

    suite: str
    rules: Sequence[str]
    passed: Sequence[str]
    findings: Sequence[Finding] = ()
