"""The heavy side: Celery tasks, inference, the use cases."""
