"""What Driftline promises, as sentences that can fail."""
