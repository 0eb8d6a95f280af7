"""The one command a person types."""
