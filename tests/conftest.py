import torch

torch.set_num_threads(1)  # the tensors are small; on shared cores several threads were 15 times slower
