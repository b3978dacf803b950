"""kdbd, the service: one process owns the configuration stores and serves them over D-Bus."""

__version__ = "0.1.0"
