"""Monitoring and deployment gates for policies that learn."""

__version__ = "0.1.0"
