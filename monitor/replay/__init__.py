"""`monitor replay`: the triggers over history as if each window were now, with a change planted or not."""
