"""Networks on flat parameter vectors, forward and backward, in PyTorch and in C++; Adam."""
