"""Estimates of performance without labels, ours and NannyML's, on the same chunks."""
