"""Which windows are open, and when each may be closed: event time without a wall clock."""
