import itertools

import numpy as np
import pytest
import torch

from departments.numerics.memory import MemoryNetwork

SIZES = {"none": 0, "stack": 4, "gru": 6}
KINDS = tuple(SIZES)


def network(kind, activation="relu", hidden=(7, 5)):
    return MemoryNetwork(3, kind, SIZES[kind], hidden, outputs=2, log_stds=2, activation=activation)


def parameters(of, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(0, 0.5, of.count), dtype=torch.float64)


def episode(periods=9, copies=4, seed=1):
    return torch.tensor(np.random.default_rng(seed).normal(size=(periods, 3, copies)))


def acted(of, flat, observation):
    """Outputs, records and memories (before each period) of acting through an episode."""
    acting = of.acting(flat)
    memory, found = acting.start(observation.shape[-1]), []
    for seen in observation:
        output, recorded, after = acting(seen, memory)
        found.append((output, recorded, memory))
        memory = after
    return [torch.stack(part) for part in zip(*found, strict=True)]


def layer_sizes(of):
    return [of.recorded + (of.size if of.kind == "gru" else 0), *of.hidden, of.outputs]


def perceptron(of, flat, gates):
    """The same perceptron by torch's own modules."""
    modules, start = [], gates
    for inputs, outputs in itertools.pairwise(layer_sizes(of)):
        linear = torch.nn.Linear(inputs, outputs, dtype=torch.float64)
        end = start + inputs * outputs
        linear.weight.data = flat[start:end].view(outputs, inputs)
        linear.bias.data = flat[end : end + outputs]
        modules += [linear, torch.nn.ReLU() if of.activation == "relu" else torch.nn.Tanh()]
        start = end + outputs
    return torch.nn.Sequential(*modules[:-1])


def load_gates(module, flat, observed, size):
    """Give a torch GRU or GRUCell the gates of a flat vector; returns how long they are."""
    sizes = [3 * size * observed, 3 * size * size, 3 * size, 3 * size]
    for (_, own), part in zip(module.named_parameters(), flat.split([*sizes, flat.numel() - sum(sizes)]), strict=False):
        own.data = part.view_as(own)
    return sum(sizes)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@torch.no_grad()
def test_a_gated_network_acts_as_torch_s_cell_with_the_same_weights(activation):
    of = network("gru", activation)
    flat, observation = parameters(of), episode()
    cell = torch.nn.GRUCell(3, 6, dtype=torch.float64)
    head = perceptron(of, flat, load_gates(cell, flat, 3, 6))
    output, recorded, memory = acted(of, flat, observation)
    state = torch.zeros(4, 6, dtype=torch.float64)
    for t, seen in enumerate(observation):
        assert torch.allclose(memory[t], state.T)
        state = cell(seen.T, state)
        assert torch.allclose(output[t], head(torch.cat((seen.T, state), -1)).T)
    assert torch.equal(recorded, observation)


@torch.no_grad()
def test_a_gated_network_s_sequences_are_those_of_torch_s_module_with_the_same_weights():
    of = network("gru")
    flat, observation = parameters(of), episode().transpose(1, 2).contiguous()
    start = torch.tensor(np.random.default_rng(5).normal(size=(4, 6)))
    module = torch.nn.GRU(3, 6, dtype=torch.float64)
    head = perceptron(of, flat, load_gates(module, flat, 3, 6))
    states, _ = module(observation, start.unsqueeze(0))
    assert torch.allclose(of.sequence_outputs(flat, observation, start), head(torch.cat((observation, states), -1)))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_learning_sees_the_outputs_that_acting_had_step_by_step(kind, activation):
    of = network(kind, activation)
    flat = parameters(of)
    output, recorded, memory = acted(of, flat, episode())
    sequence = of.sequence_outputs(flat, recorded.transpose(1, 2), memory[0].T)
    assert torch.allclose(sequence, output.transpose(1, 2))


@torch.no_grad()
def test_a_sequence_may_start_in_the_middle_from_the_memory_of_that_period():
    of = network("gru")
    flat = parameters(of)
    output, recorded, memory = acted(of, flat, episode())
    late = of.sequence_outputs(flat, recorded[5:].transpose(1, 2), memory[5].T)
    assert torch.allclose(late, output[5:].transpose(1, 2))


@torch.no_grad()
def test_a_stack_holds_the_last_observations_newest_first_and_zeros_before_the_episode():
    of = network("stack")
    observation = episode()
    _, recorded, _ = acted(of, parameters(of), observation)
    assert (of.recorded, of.remembered) == (12, 9)
    for t in range(len(observation)):
        for back in range(4):
            expected = observation[t - back] if t >= back else torch.zeros(3, 4, dtype=torch.float64)
            assert torch.equal(recorded[t, 3 * back : 3 * back + 3], expected)


@torch.no_grad()
def test_a_network_without_memory_sees_the_present_alone():
    of = network("none")
    flat, observation = parameters(of), episode()
    output, _, memory = acted(of, flat, observation)
    assert memory.shape == (9, 0, 4)
    changed = observation.clone()
    changed[:-1] += 1
    assert torch.equal(acted(of, flat, changed)[0][-1], output[-1])


@pytest.mark.parametrize("kind", ["stack", "gru"])
@torch.no_grad()
def test_a_memory_carries_the_past_of_its_own_copy_only(kind):
    of = network(kind)
    flat, observation = parameters(of), episode()
    output = acted(of, flat, observation)[0]
    changed = observation.clone()
    changed[-3, :, 1] += 1
    moved = acted(of, flat, changed)[0]
    assert torch.equal(moved[:-3], output[:-3])
    assert not torch.equal(moved[-1, :, 1], output[-1, :, 1])
    assert torch.equal(moved[..., [0, 2, 3]], output[..., [0, 2, 3]])


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_acting_does_not_write_into_what_it_is_given(kind):
    of = network(kind)
    acting = of.acting(parameters(of))
    observation, memory = torch.ones(3, 4, dtype=torch.float64), acting.start(4) + 0.5
    acting(observation, memory)
    assert bool((observation == 1).all())
    assert bool((memory == 0.5).all())


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_network_s_outputs_are_zero_and_its_length_is_what_it_says(kind):
    of = network(kind)
    flat = torch.tensor(of.initial(-1.0, seed=3))
    gates = 3 * 6 * (3 + 6) + 6 * 6 if kind == "gru" else 0
    layers = sum(inputs * outputs + outputs for inputs, outputs in itertools.pairwise(layer_sizes(of)))
    assert len(flat) == of.count == gates + layers + 2
    assert of.log_std(flat).tolist() == [-1.0, -1.0]
    assert not acted(of, flat, episode().float())[0].any()
    assert not np.array_equal(of.initial(-1.0, seed=3), of.initial(-1.0, seed=4))


def test_gradients_reach_every_gate_through_the_whole_sequence():
    of = network("gru")
    flat, observation = parameters(of).requires_grad_(), episode(12).transpose(1, 2).contiguous().requires_grad_()
    of.sequence_outputs(flat, observation, torch.zeros(4, 6, dtype=torch.float64))[-1].sum().backward()
    gates = flat.grad[: 3 * 6 * (3 + 6) + 36]
    assert bool((gates != 0).all())
    assert bool((observation.grad[0] != 0).all())
