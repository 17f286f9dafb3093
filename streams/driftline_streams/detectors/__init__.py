"""Did it change, is it different from the reference, did it break an objective: from closed windows to findings."""
