"""GRAF's features: our own, the published ones, and the authors' columns."""
