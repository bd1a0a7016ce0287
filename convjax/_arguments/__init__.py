"""Arguments, checked and normalised, and the words of every error."""
