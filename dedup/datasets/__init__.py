"""Questions of people with data sets: labels, conflicts, splits, samples, and what to look at."""
