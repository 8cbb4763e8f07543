"""The study that evaluates proxies on a table."""
