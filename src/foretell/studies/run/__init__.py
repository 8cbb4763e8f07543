"""What every study shares: session, run folder, rounds of trials, log, progress, costs, threads."""
