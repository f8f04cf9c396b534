"""What every kind of case has: commands, events, facts, refusals."""
