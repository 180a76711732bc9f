"""The truth; never reads a projection."""
