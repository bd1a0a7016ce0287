"""Checks and normalises arguments, and holds the text of every error message."""
