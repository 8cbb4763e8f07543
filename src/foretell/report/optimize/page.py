"""The page of an optimisation: that of a search, without data, proxies and attacks."""

from foretell.report.search.page import write

__all__ = ["write"]
