"""What people look at: charts of what was measured."""
