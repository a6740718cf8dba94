"""The demonstration: a whole federation on one machine, with real processes, certificates and signed calls."""
