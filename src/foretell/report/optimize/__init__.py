"""The page of an optimisation."""
