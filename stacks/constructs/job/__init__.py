"""The batch jobs, and what starts them."""
