"""The details view: local features of an image (`keypoints`), aggregated to one vector (`vlad`)."""
