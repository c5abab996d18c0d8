// Networks that act on copies of the firm side by side.
#pragma once
#include "perceptron.hpp"

constexpr int kTogether = 16;  // copies of the firm that act at once, side by side as the compiled world has them

// A network that acts on some rows of what there is to see, [rows][kTogether].
class Actor {
 public:
  Actor(const int64_t *widths, int64_t count, const float *flat, const int64_t *rows)
      : rows_(rows, rows + widths[0]), input_(widths[0] * kTogether) {
    int64_t at = 0;
    for (int64_t i = 0; i + 1 < count; i++) {
      Layer layer{widths[i], widths[i + 1], {}, {}, {}};
      layer.weight.assign(flat + at, flat + at + layer.inputs * layer.outputs), at += layer.inputs * layer.outputs;
      for (int64_t o = 0; o < layer.outputs; o++) layer.bias.insert(layer.bias.end(), kTogether, flat[at + o]);
      layer.value.resize(layer.outputs * kTogether), at += layer.outputs;
      layers_.push_back(std::move(layer));
    }
  }

  // From now on it also takes gradients back, and adds up its own.
  void learn(const int64_t *widths, int64_t count, const float *flat) {
    network_ = std::make_unique<Network>(widths, count, true);
    network_->take(flat), network_->forget();
    change_.resize(kTogether * network_->input_width());
  }

  void gradient(float *flat) const { network_->gradient(flat); }

  // Adds to `by_seen` what `by_out` means for what was seen; goes forward once more instead of remembering it all.
  const float *back(const float *seen, const float *by_out, float *by_seen) {
    const long in = network_->input_width(), wide = network_->output_width(), outputs = layers_.back().outputs;
    for (size_t i = 0; i < rows_.size(); i++)
      for (long s = 0; s < kTogether; s++) network_->input()[s * in + i] = seen[rows_[i] * kTogether + s];
    network_->forward(kTogether);
    for (long o = 0; o < outputs; o++)
      for (long s = 0; s < kTogether; s++) network_->output_change()[s * wide + o] = by_out[o * kTogether + s];
    network_->backward(kTogether);
    network_->input_change(change_.data(), 0, in, kTogether);
    for (size_t i = 0; i < rows_.size(); i++)
      for (long s = 0; s < kTogether; s++) by_seen[rows_[i] * kTogether + s] += change_[s * in + i];
    return by_out + outputs * kTogether;
  }

  float *act(const float *seen, float *out) {
    for (size_t i = 0; i < rows_.size(); i++)
      std::memcpy(&input_[i * kTogether], seen + rows_[i] * kTogether, kTogether * sizeof(float));
    const float *below = input_.data();
    for (Layer &layer : layers_) {
      const bool last = &layer == &layers_.back();
      float *value = last ? out : layer.value.data();
      const auto pass = last ? product<kPlain> : product<kRelu>;
      pass(value, kTogether, layer.weight.data(), layer.inputs, 1, below, kTogether, layer.outputs, kTogether,
           layer.inputs, {layer.bias.data(), kTogether, nullptr});
      below = value;
    }
    return out + layers_.back().outputs * kTogether;
  }

 private:
  struct Layer {
    int64_t inputs, outputs;
    Floats weight, bias, value;  // [outputs][inputs], [outputs][kTogether] twice
  };
  std::vector<int64_t> rows_;
  Floats input_, change_;
  std::vector<Layer> layers_;
  std::unique_ptr<Network> network_;
};
