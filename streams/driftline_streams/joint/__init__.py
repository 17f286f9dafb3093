"""Joint: whether the features of a model still go together as in its reference, from samples of stored events."""
