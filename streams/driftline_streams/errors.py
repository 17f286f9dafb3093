"""Every error that Driftline raises on purpose.

Bad *data* is not here: it becomes a `Rejected` record with a reason, is counted and kept. These are for people
(`UsageError`), for outages that retries did not outlast (`Unavailable`) and for broken promises (`BrokenInvariant`).
"""

from __future__ import annotations


class DriftlineError(Exception):
    """The root: `except DriftlineError` catches whatever Driftline raises on purpose."""


class UsageError(DriftlineError):
    """A person asked for something that cannot be done; the message is one sentence that says what to do instead."""


class SettingsError(UsageError):
    """A setting is missing, malformed or contradicts another."""


class SpecError(UsageError):
    """A model spec or a replay spec is malformed; the message names file, field and what was expected."""


class Unavailable(DriftlineError):
    """Kafka, ClickHouse or an embedded service did not answer within its bounded retries."""


class Overloaded(Unavailable):
    """ClickHouse answers that what it was asked takes more memory or time than it has now; less may pass."""


class MigrationError(DriftlineError):
    """A numbered SQL file does not match what was applied under its number."""


class BrokenInvariant(DriftlineError):
    """Something that the design rules out has happened; the process must stop before it does harm."""


class LedgerError(DriftlineError):
    """Read, stored and rejected do not add up; the message names the first discrepancy."""


def stops_all(error: Exception) -> bool:
    """Whether nobody can go on: in an outage, or after a broken promise. What is too much stops only its own job."""
    return isinstance(error, BrokenInvariant | Unavailable) and not isinstance(error, Overloaded)
