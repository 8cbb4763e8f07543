"""Readers of file formats; what they hold is the importers' affair."""
