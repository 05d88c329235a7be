"""`monitor score`: what a candidate that is not in the log would have done, as recommendations."""
