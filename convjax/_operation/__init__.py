"""The operation: one primitive, its rules, and what surrounds it in a call."""
