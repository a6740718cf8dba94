"""Catalogue files: what people keep in JSON Lines, CSV and XLSX, read into resources row by row."""
