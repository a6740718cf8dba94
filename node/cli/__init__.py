"""The lln command, one module per noun."""
