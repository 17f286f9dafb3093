"""Faust that hands an agent whole batches, each named by its offsets before it acts."""
