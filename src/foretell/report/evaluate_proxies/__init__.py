"""The page of an evaluation of proxies."""
