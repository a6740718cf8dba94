"""GRPC in both directions; the only rooms that know protobuf."""
