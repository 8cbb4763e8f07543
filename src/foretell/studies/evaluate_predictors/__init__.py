"""The study that evaluates predictors on a table."""
