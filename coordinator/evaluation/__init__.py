"""A firm and policies looked at: checked, simulated, compared on common chance."""
