"""Messages and stubs."""
