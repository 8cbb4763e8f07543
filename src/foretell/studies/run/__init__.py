"""What every study shares: run folder, journal, costs, progress, threads."""
