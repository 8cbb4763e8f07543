"""Contract tests for authors of spaces, proxies and searchers; they need pytest.

Subclass a contract in a test file and name the one fixture it asks for: the suite comes with it.
"""
