"""The client: submits batch jobs, watches them, reads their results and retries what was not predicted.

It meets the deployed stacks through AWS APIs alone, so it works the same against AWS and the embedded AWS.
"""
