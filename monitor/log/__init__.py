"""Log files in, decisions out: every line is accounted for, nothing is lost and nothing guessed."""
