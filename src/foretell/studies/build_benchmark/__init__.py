"""The study that builds digits-nb201."""
