"""Reading what others kept: lines of text in, rows and refused rows out. Never opens a file, never writes an event."""
