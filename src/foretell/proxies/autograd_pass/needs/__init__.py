"""What the pass collects: a file a need."""
