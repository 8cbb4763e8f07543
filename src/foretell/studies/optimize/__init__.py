"""The study that optimises a user's own evaluation."""
