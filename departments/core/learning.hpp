// The learning loops around a network.
#pragma once
#include "call.hpp"
#include "perceptron.hpp"

struct Taken {
  const float *from;
  int64_t width;
};

class Walk {
 public:
  // `others`: what is taken of a sample beside its observation, [samples][width].
  Walk(const Fit &fit, std::vector<Taken> others)
      : fit_(fit),
        taken_(std::move(others)),
        network(fit.widths, fit.layers, true),
        gradient(padded(fit.parameters_count)) {
    taken_.push_back({fit.observation, fit.widths[0]});
  }

  // For every minibatch: each(tile of indices, how many, size of the minibatch) for its tiles, then end(its size),
  // which says whether to go on with a step.
  template <class Each, class End>
  void go(Each each, End end) {
    const int64_t inputs = fit_.widths[0], wide = network.input_width();
    for (int64_t epoch = 0; epoch < fit_.epochs; epoch++) {
      const int64_t *index = fit_.order + epoch * fit_.samples;
      for (int64_t part = 0; part < fit_.parts; part++) {
        const int64_t size = fit_.samples / fit_.parts + (part < fit_.samples % fit_.parts);
        network.take(fit_.parameters);
        network.forget();
        for (int64_t start = 0; start < size; start += kTile) {
          const int64_t count = std::min<int64_t>(kTile, size - start);
          for (int64_t s = 0; s < count; s++)
            std::memcpy(network.input() + s * wide, fit_.observation + index[start + s] * inputs,
                        inputs * sizeof(float));
          fetch(index + start + count, std::min<int64_t>(kTile, size - start - count));
          network.forward(count);
          each(index + start, count, size);
          network.backward(count);
        }
        index += size;
        network.gradient(gradient.data());
        if (!end(size)) return;
        step();
      }
    }
  }

  double norm() const {
    V sum{};
    for (size_t i = 0; i < gradient.size(); i += kLanes) sum += load(&gradient[i]) * load(&gradient[i]);
    return std::sqrt(total(sum));
  }

 private:
  void step() {
    const double count = ++*fit_.steps;
    const float shrink = (float)std::min(1.0, fit_.max_grad_norm / (norm() + 1e-6));
    const float pace = (float)(fit_.learning_rate / (1 - std::pow(0.9, count)));
    const float spread = (float)(1 / std::sqrt(1 - std::pow(0.999, count))), eps = (float)fit_.eps;
    for (int64_t i = 0; i < fit_.parameters_count; i++) {
      const float g = gradient[i] * shrink;
      fit_.first[i] += (g - fit_.first[i]) * 0.1f;
      fit_.second[i] = fit_.second[i] * 0.999f + g * g * 0.001f;
      fit_.parameters[i] -= pace * fit_.first[i] / (std::sqrt(fit_.second[i]) * spread + eps);
    }
  }

  // Shuffled samples lie all over the memory: those of the next tile are on their way while this one is worked on.
  void fetch(const int64_t *index, int64_t count) const {
    for (int64_t s = 0; s < count; s++)
      for (const Taken &taken : taken_)
        for (int64_t i = 0; i < taken.width; i += 16) __builtin_prefetch(taken.from + index[s] * taken.width + i);
  }

  const Fit fit_;
  std::vector<Taken> taken_;

 public:
  Network network;
  Floats gradient;
};
