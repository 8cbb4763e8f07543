"""Kernels and exact Gaussian processes, of predictors and of searchers; no torch."""
