"""Workers of a run: departments, critic and rollouts, in this process or as Ray actors."""
