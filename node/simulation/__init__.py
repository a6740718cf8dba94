"""Whole federations in one process, under a clock of their own and on a network that fails (docs/simulation.md)."""
