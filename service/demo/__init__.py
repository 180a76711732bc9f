"""The demonstration: the documents that this product grew out of, and what their numbers explain."""
