"""The shared pass over plain cell networks, compiled to a list of operations."""
