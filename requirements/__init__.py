"""The lists of what the program stands on, and how `run.py` brings them here."""
