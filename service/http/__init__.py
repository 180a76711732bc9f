"""The HTTP porch: requests in, documents out. Every refusal is a problem document, and none repeats what was sent."""
