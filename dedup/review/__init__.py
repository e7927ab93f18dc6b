"""A local app to decide about duplicate groups in: `dedup review`, a second front end."""
