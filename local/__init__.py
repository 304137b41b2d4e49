"""The embedded AWS: MiniStack with this project's own Step Functions, SageMaker and function runtime."""
