"""What a replay raises for a person to mend; a bad row is no error but counted and shown."""

from __future__ import annotations

from driftline.errors import DriftlineSDKError


class ReplaySpecError(DriftlineSDKError, ValueError):
    """The spec or the file it maps is not as it must be; the message names file, field and what was expected."""
