"""Killing kdbd and telling whether what it had acknowledged is there, whole, and announced."""
