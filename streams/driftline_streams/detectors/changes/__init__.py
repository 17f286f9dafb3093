"""Did it change, now: online detectors of levels, one closed window after the other."""
