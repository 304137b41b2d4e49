"""The endpoints, one file a mode, and what they share."""
