"""How a department learns: PPO, gradients through the simulator, step laws."""
