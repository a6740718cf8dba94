"""What the machine gives us: clock, key files, telemetry."""
