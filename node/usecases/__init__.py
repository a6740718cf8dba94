"""Gerunds; each use case decides with federation, then persists and sends through ports."""
