"""Array code that does not depend on convolutions."""
