"""Settings: schema, loader and one commented template per level."""
