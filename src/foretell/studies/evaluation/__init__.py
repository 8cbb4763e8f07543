"""What the evaluations of proxies and predictors share."""
