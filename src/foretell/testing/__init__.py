"""Contract tests for authors of plug-ins; they need pytest.

Subclass a contract in a test file and name the one fixture it asks for: the suite comes with it.
"""
