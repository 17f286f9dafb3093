"""Estimation: how good models are while the truth is not known, and whether what they learned still holds."""
