"""The study that searches."""
