"""What a collection gives away: features for other programs."""
