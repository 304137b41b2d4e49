"""What the model is: where it comes from, its container, its role, its version."""
