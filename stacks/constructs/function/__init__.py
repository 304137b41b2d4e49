"""Functions in Lambda, built without Docker."""
