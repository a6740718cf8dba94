"""What every node must agree on: pure decisions, without clock, socket, file or randomness."""
