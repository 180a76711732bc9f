"""The processes of a service: workers that answer, one projector, and whoever looks after them."""
