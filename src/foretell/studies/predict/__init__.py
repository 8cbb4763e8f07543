"""The study that predicts values and explains them."""
