"""Neural predictors."""
