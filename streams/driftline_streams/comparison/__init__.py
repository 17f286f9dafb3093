"""Comparison: challengers against champions, segments against the rest, groups against each other, on settled truth."""
