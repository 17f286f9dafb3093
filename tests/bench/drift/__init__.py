"""How soon drift is found, and how often where there is none: ours and others', on the same streams."""
