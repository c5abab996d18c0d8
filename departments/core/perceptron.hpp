// Passes of a multilayer perceptron over samples that lie one after the other: a tile of samples goes forward and
// backward through all layers while it is in the cache. Graph attention may come before it.
#pragma once
#include "attention.hpp"
#include "sums.hpp"

struct Layer {
  long inputs, outputs, wide_in, wide_out;
  long at;                            // of its weights in the flat vector
  Floats forward, backward, bias;     // [inputs][wide_out], [wide_out][wide_in], [wide_out]
  bool turned = false;                // whether weight_change is [inputs][wide_out], which is less
  Floats weight_change, bias_change;  // [wide_out][wide_in], [wide_out]
  Floats value, change;               // [kMost][wide_out]
};

class Network {
 public:
  // How many samples stay in the cache while they go forward and backward.
  static long tile_of(const int64_t *widths, int64_t count, const Graph *graph) {
    return graph || *std::max_element(widths, widths + count) > kNarrow ? kTile : kMost;
  }

  // `samples`: how many its input has place for.
  Network(const int64_t *widths, int64_t count, bool learns, const Graph *graph, long samples = kMost)
      : tile_size_(tile_of(widths, count, graph)), attention_(graph, learns, kTile), attended_(attention_.width()) {
    long at = attention_.count();
    for (long i = 0; i + 1 < count; i++) {
      Layer layer;
      layer.inputs = i ? widths[i] : attention_.behind(widths[0]), layer.outputs = widths[i + 1];
      layer.wide_in = padded(i ? widths[i] : attention_.width() + widths[0]), layer.wide_out = padded(widths[i + 1]),
      layer.at = at;
      at += layer.inputs * layer.outputs + layer.outputs;
      layer.forward.assign(layer.inputs * layer.wide_out, 0), layer.bias.assign(layer.wide_out, 0);
      layer.value.assign(kMost * layer.wide_out, 0);
      if (learns) {
        layer.backward.assign(layer.wide_out * layer.wide_in + kLanes, 0);
        layer.turned = layer.inputs * layer.wide_out < layer.outputs * layer.wide_in;
        layer.weight_change.assign(layer.wide_out * layer.wide_in, 0);
        layer.bias_change.assign(layer.wide_out, 0);
        layer.change.assign(kMost * layer.wide_out, 0);
      }
      layers_.push_back(std::move(layer));
    }
    input_.assign((samples + kLanes) * layers_[0].wide_in, 0);
    if (learns) attended_change_.resize(kTile * padded(attention_.width()) + 1);
    for (const Layer &layer : layers_) zeros_.resize(std::max<size_t>(zeros_.size(), layer.wide_in), 0);
    learn({0, 1, layers_.back().outputs});
  }

  // Learn some outputs only, where they are few: the gradients of the others are 0.
  void only(const int64_t *outputs, int64_t count) {
    const auto [least, most] = std::minmax_element(outputs, outputs + count);
    const bool few = std::all_of(outputs, outputs + count, [&](int64_t o) { return o == *least || o == *most; });
    if (few) learn({*least, std::max<long>(*most - *least, 1), 1 + (*most > *least)});
  }

  long tile_size() const { return tile_size_; }
  float *input() { return &input_[attended_]; }  // [samples][input_width]
  long input_width() const { return layers_[0].wide_in; }
  const float *tile() const { return tile_ + attended_; }              // what went forward, [count][input_width]
  const float *output() const { return layers_.back().value.data(); }  // [kMost][output_width]
  float *output_change() { return layers_.back().change.data(); }
  long output_width() const { return layers_.back().wide_out; }

  void take(const float *flat) {
    attention_.take(flat);
    for (Layer &layer : layers_) {
      const float *weight = flat + layer.at, *bias = weight + layer.inputs * layer.outputs;
      for (long first = 0; first < layer.inputs; first += kLanes)  // few rows at a time: they stay in the cache
        for (long o = 0; o < layer.outputs; o++)
          for (long i = first; i < std::min(first + kLanes, layer.inputs); i++)
            layer.forward[i * layer.wide_out + o] = weight[o * layer.inputs + i];
      for (long o = 0; o < layer.outputs; o++) {
        if (!layer.backward.empty())
          std::memcpy(&layer.backward[o * layer.wide_in], weight + o * layer.inputs, layer.inputs * sizeof(float));
        layer.bias[o] = bias[o];
      }
    }
    if (!looks_up_) return;
    const Layer &layer = last_hidden();
    panels<2>(layer.wide_in, [&](long n, auto vectors) {
      for (long o = 0; o < layer.wide_out; o += 4)
        sums_of_four<vectors>(&of_units_[kSums / 4 * (n * layer.wide_out + o * vectors * kLanes)], vectors,
                              &layer.backward[o * layer.wide_in + n], layer.wide_in, weight_above() + o);
    });
  }

  // Of a tile, at most so many samples from `first` on.
  void forward(long count, long first = 0) {
    long width = layers_[0].wide_in;
    float *tile = &input_[first * width];
    if (attended_) attention_.forward_rows(tile, width, count);
    const float *below = tile_ = tile;
    for (Layer &layer : layers_) {
      float *value = layer.value.data();
      const bool last = &layer == &layers_.back();
      if (last && some_.count <= 2 && !layer.backward.empty()) {  // one by one; in learning nobody counts on last bits
        for (long i = 0, o = some_.first; i < some_.count; i++, o += some_.step)
          products(value + o, layer.wide_out, below, &layer.backward[o * width], count, width, layer.bias[o]);
        return;
      }
      const auto pass = last ? product<kPlain> : product<kRelu>;
      pass(value, layer.wide_out, below, width, 1, layer.forward.data(), layer.wide_out, count, layer.wide_out,
           layer.inputs, {layer.bias.data(), 0, nullptr});
      below = value, width = layer.wide_out;
    }
  }

  void forget() {
    attention_.forget();
    for (Layer &layer : layers_) {
      std::fill(layer.weight_change.begin(), layer.weight_change.end(), 0.0f);
      std::fill(layer.bias_change.begin(), layer.bias_change.end(), 0.0f);
    }
  }

  // Adds the gradient of a tile, given that of its outputs.
  void backward(long count) {
    const long top = (long)layers_.size() - 1;
    for (long l = top; l >= 0; l--) {
      if (looks_up_ && l + 1 == top) {
        look_up(count);
        continue;
      }
      Layer &layer = layers_[l];
      const Some some = l == top ? some_ : Some{0, 1, layer.outputs};
      const float *below = l ? layers_[l - 1].value.data() : tile_;
      const float *above = layer.change.data(), *mine = above + some.first;
      if (layer.turned) {
        float *changed = layer.weight_change.data();
        product<kPlain>(changed, layer.wide_out, below, 1, layer.wide_in, above, layer.wide_out, layer.inputs,
                        layer.wide_out, count, {changed, layer.wide_out, nullptr});
      } else {
        float *changed = &layer.weight_change[some.first * layer.wide_in];
        const long apart = some.step * layer.wide_in;
        product<kPlain>(changed, apart, mine, some.step, layer.wide_out, below, layer.wide_in, some.count,
                        layer.wide_in, count, {changed, apart, nullptr});
      }
      long o = 0;
      for (; o + kPanel * kLanes <= layer.wide_out; o += kPanel * kLanes)
        add_rows<kPanel>(&layer.bias_change[o], above + o, layer.wide_out, count);
      for (; o < layer.wide_out; o += kLanes) add_rows<1>(&layer.bias_change[o], above + o, layer.wide_out, count);
      if (!l || (looks_up_ && l == top)) continue;
      Layer &under = layers_[l - 1];
      product<kGated>(under.change.data(), under.wide_out, mine, layer.wide_out, some.step,
                      &layer.backward[some.first * layer.wide_in], some.step * layer.wide_in, count, layer.wide_in,
                      some.count, {zeros_.data(), 0, under.value.data()});
    }
    if (const long width = padded(attended_)) {
      by_input(attended_change_.data(), 0, width, count);
      std::fill(&attended_change_[count * width], attended_change_.data() + padded(count) * width, 0.0f);
      attention_.backward(attended_change_.data(), width);
    }
  }

  // The gradient by inputs of a tile that went backward, [count][width]: those from `first` on, and whatever may
  // follow.
  void input_change(float *change, long first, long width, long count) {
    by_input(change, attention_.width() + first, width, count);
    attention_.input_change(change, width, count);
  }

  void gradient(float *flat) const {
    attention_.gradient(flat);
    for (const Layer &layer : layers_) {
      float *weight = flat + layer.at, *bias = weight + layer.inputs * layer.outputs;
      for (long o = 0; o < layer.outputs; o++) {
        const float *change = &layer.weight_change[o * (layer.turned ? 1 : layer.wide_in)];
        const long apart = layer.turned ? layer.wide_out : 1;
        for (long i = 0; i < layer.inputs; i++) weight[o * layer.inputs + i] = change[i * apart];
        bias[o] = layer.bias_change[o];
      }
    }
  }

 private:
  struct Some {
    long first, step, count;
  };

  // The gradient by what the first layer is given.
  void by_input(float *change, long first, long width, long count) const {
    const Layer &layer = layers_[0];
    product<kPlain>(change, width, layer.change.data(), layer.wide_out, 1, &layer.backward[first], layer.wide_in, count,
                    width, layer.outputs, {zeros_.data(), 0, nullptr});
  }

  // Sets the outputs that learn; where it is one, sums are looked up for the hidden layer below it if not the first.
  void learn(Some some) {
    some_ = some;
    looks_up_ = some.count == 1 && layers_.size() > 2 && !last_hidden().backward.empty();
    if (!looks_up_) return;
    Layer &layer = last_hidden();
    layer.turned = false;
    delta_.assign(kMost, 0), of_samples_.assign(kGroup / 4 * kSums * kPanel * kLanes, 0);
    of_units_.assign(layer.wide_out / 4 * kSums * layer.wide_in, 0);
    open_.assign(kMost * layer.wide_out / kLanes, 0), chosen_.assign(kMost / 4 * layer.wide_out, 0);
  }

  Layer &last_hidden() { return layers_[layers_.size() - 2]; }
  const float *weight_above() const { return &layers_.back().backward[some_.first * layers_.back().wide_in]; }

  // The backward pass of the last hidden layer where one output learns. Samples that fill the last group have no delta.
  void look_up(long count) {
    Layer &under = layers_[layers_.size() - 3], &layer = last_hidden(), &above = layers_.back();
    const long in = layer.wide_in, out = layer.wide_out;
    const float *weight = weight_above();
    for (long s = 0; s < tile_size_; s++) delta_[s] = s < count ? above.change[s * above.wide_out + some_.first] : 0;
    count = (count + kGroup - 1) / kGroup * kGroup;
    look_at(layer.value.data(), out, delta_.data(), weight, count, open_.data(), chosen_.data(),
            layer.bias_change.data());
    panels<kPanel>(in, [&](long n, auto vectors) {
      for (long o = 0; o < out; o += kUnits)
        for (long s = 0; s < count; s += kGroup) {
          for (long j = 0; j < kGroup; j += 4)
            sums_of_four<vectors>(&of_samples_[j / 4 * kSums * kPanel * kLanes], kPanel, &under.value[(s + j) * in + n],
                                  in, &delta_[s + j]);
          add_samples<vectors>(&layer.weight_change[o * in + n], in, of_samples_.data(), &chosen_[s / 4 * out + o], out,
                               weight + o, std::min<long>(kUnits, out - o));
        }
    });
    panels<2>(in, [&](long n, auto vectors) {
      add_units<vectors>(&under.change[n], in, &of_units_[kSums / 4 * n * out], open_.data(), out / kLanes,
                         delta_.data(), &under.value[n], count);
    });
  }

  static constexpr long kNarrow = 64;
  const long tile_size_;
  Attention attention_;
  const long attended_;  // leading columns of the input, which attention gives
  std::vector<Layer> layers_;
  Floats input_, attended_change_, zeros_;  // the first: what nodes come to, then what is seen
  const float *tile_ = nullptr;             // of the input, the one that went forward
  Some some_;                               // the outputs that learn
  bool looks_up_ = false;
  Floats delta_, of_samples_, of_units_;  // [kMost], sums of a group by fours, of units by panels and fours
  std::vector<uint16_t, OnLines<uint16_t>> open_, chosen_;
};
