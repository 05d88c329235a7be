"""The first hour: from log files nobody described to a configuration that says why."""
