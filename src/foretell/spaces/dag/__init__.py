"""Cells that are DAGs with operations on vertices."""
