"""The states of a request and of a batch: chains, and what stands behind the model's state."""
