"""SQL, behind the Store port."""
