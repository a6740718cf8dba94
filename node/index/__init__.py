"""The search index, behind the Index port, always rebuildable from the logs."""
