"""How fresh Driftline's answers are: from event to queryable row, and from a change to its alert."""
