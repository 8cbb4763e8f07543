"""Scores of untrained networks, and what they mean among others; see ``run`` and ``explain``."""
