"""The derived; never writes an event."""
