"""What several predictors share: folds and targets."""
