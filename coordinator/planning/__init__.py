"""A planner's firm: the export goes in, tomorrow's orders come out, and last year says what they are worth."""
