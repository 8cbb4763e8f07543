"""The page of an evaluation of predictors."""
