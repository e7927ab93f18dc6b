"""Edits that people make to photographs, drawn by code: for calibration, training and tests."""
