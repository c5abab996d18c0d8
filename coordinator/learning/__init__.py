"""What every scheme shares: the transactional iteration, and the settings of a run."""
