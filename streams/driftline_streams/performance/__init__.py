"""Performance: whether models are still as good as their specs ask, judged as labels arrive."""
