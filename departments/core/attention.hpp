// Graph attention over the supply network, forward and backward; see departments/numerics/graph.py.
//
// Node i attends to node j by LeakyReLU(t_i + s_j), and softmax of these over its neighbours says how much of W h_j it
// hears. t and s are linear in h, as W h is: they come out of the same product, from rows that follow those of W.
// Values are [rows][nodes][samples].
#pragma once
#include "call.hpp"
#include "products.hpp"

constexpr float kSlope = 0.2f;  // of LeakyReLU
constexpr long kFour = 4;       // rows of both sides that are multiplied with each other at a time

inline long in_fours(long rows) { return (rows + kFour - 1) / kFour * kFour; }

// Samples [samples][wide] as vectors of samples: take(row, first sample, its vector) for all of some rows.
template <class Take>
void from_rows(const float *from, long wide, long rows, long samples, Take take) {
  for (long s = 0; s < samples; s += kLanes)
    for (long r = 0; r < rows; r += kLanes) {
      V square[kLanes];
      for (long i = 0; i < kLanes; i++) square[i] = load(from + (s + i) * wide + r);
      transpose(square);
      for (long i = 0; i < std::min<long>(kLanes, rows - r); i++) take(r + i, s, square[i]);
    }
}

// And back, by what `give(row, sample)` gives.
template <class Give>
void to_rows(float *to, long wide, long rows, long count, Give give) {
  for (long s = 0; s < count; s += kLanes)
    for (long r = 0; r < rows; r += kLanes) {
      const long some = std::min<long>(kLanes, rows - r);
      V square[kLanes]{};
      for (long i = 0; i < some; i++) square[i] = give(r + i, s);
      transpose(square);
      for (long i = 0; i < std::min<long>(kLanes, count - s); i++)
        std::memcpy(to + (s + i) * wide + r, &square[i], some * sizeof(float));
    }
}

// Adds to C, [rows][columns] of vectors, products of the rows of A and of B, which are `width` long; what they come to
// in all is the total of a vector. Rows and columns are multiples of kFour.
inline void add_products(float *c, const float *a, long rows, const float *b, long columns, long width) {
  constexpr int M = kFour, N = kLanes == 16 ? kFour : 2;
  for (long m = 0; m < rows; m += M)
    for (long n = 0; n < columns; n += N) {
      V sum[M][N]{};
      const float *left = a + m * width, *below = b + n * width;
      for (long k = 0; k < width; k += kLanes, left += kLanes, below += kLanes) {
        V right[N];
#pragma GCC unroll 4
        for (int j = 0; j < N; j++) right[j] = load(below + j * width);
#pragma GCC unroll 4
        for (int i = 0; i < M; i++)
#pragma GCC unroll 4
          for (int j = 0; j < N; j++) sum[i][j] += load(left + i * width) * right[j];
      }
      for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
          float *to = c + ((m + i) * columns + n + j) * kLanes;
          store(to, load(to) + sum[i][j]);
        }
    }
}

class Attention {
 public:
  // Of at most `samples` at once, a multiple of kLanes; without a graph there is no attention, and no width.
  Attention(const Graph *graph, bool learns, long samples) {
    if (!graph) return;
    nodes_ = graph->nodes, features_ = graph->features, heads_ = graph->heads, seen_ = graph->seen;
    rows_.assign(graph->rows, graph->rows + nodes_ * features_);
    constants_.assign(graph->constant, graph->constant + nodes_ * graph->constants);
    for (long i = 0; i < nodes_; i++) {
      for (long j = 0; j < nodes_; j++)
        if (graph->attends[i * nodes_ + j]) neighbour_.push_back(j);
      end_.push_back(neighbour_.size());
    }
    long inputs = features_ + graph->constants, most = inputs;
    const long width = nodes_ * samples;
    input_.resize(in_fours(inputs) * width), zeros_.resize(width), lanes_.resize(seen_ * samples);
    for (const int64_t *own = graph->units; own < graph->units + graph->layers; inputs = *own++) {
      Layer layer;
      layer.inputs = inputs, layer.units = *own, layer.at = count_;
      const long rows = layer.units + 2 * heads_;
      layer.weight.resize(rows * inputs), layer.mixed.resize(rows * width);
      layer.share.resize(heads_ * neighbour_.size() * samples), layer.value.resize(in_fours(layer.units) * width);
      if (learns) {
        layer.weight_change.resize(in_fours(rows) * in_fours(inputs) * kLanes);
        layer.bias_change.resize(layer.units * kLanes);
      }
      count_ += layer.units * (inputs + 3), most = std::max<long>(most, rows);
      layers_.push_back(std::move(layer));
    }
    if (learns) change_.resize(most * width), pull_.resize(in_fours(most) * width), by_share_.resize(nodes_);
  }

  long count() const { return count_; }                                              // its parameters
  long width() const { return layers_.empty() ? 0 : nodes_ * last().units; }         // what it gives of a sample
  long behind(long seen) const { return layers_.empty() ? seen : width() + seen_; }  // what comes behind it is given

  [[gnu::noinline]] void take(const float *flat) {
    for (Layer &layer : layers_) {
      layer.own.assign(flat + layer.at, flat + layer.at + layer.units * (layer.inputs + 3));
      std::fill(layer.weight.begin(), layer.weight.end(), 0.0f);
      std::copy_n(layer.own.data(), layer.units * layer.inputs, layer.weight.data());
      for (long u = 0; u < layer.units; u++)
        for (long side : {0, 1})
          for (long i = 0; i < layer.inputs; i++)
            layer.weight[scoring(layer, u, side) * layer.inputs + i] +=
                layer.scores(u, side) * layer.own[u * layer.inputs + i];
    }
  }

  // What nodes come to, [nodes][units][apart], from what is seen [seen][apart].
  [[gnu::noinline]] void forward(const float *seen, float *out, long apart, long count) {
    if (layers_.empty()) return;
    pass(seen, apart, count);
    for (long row = 0; row < width(); row++) std::copy_n(&last().value[of_output(row)], count, out + row * apart);
  }

  // The same of samples in rows of `wide`, before what they see.
  [[gnu::noinline]] void forward_rows(float *rows, long wide, long count) {
    if (layers_.empty()) return;
    const long samples = padded(count);
    from_rows(rows + width(), wide, seen_, samples,
              [&](long row, long s, V own) { store(&lanes_[row * samples + s], own); });
    pass(lanes_.data(), samples, samples);
    to_rows(rows, wide, width(), count, [&](long row, long s) { return load(&last().value[of_output(row) + s]); });
  }

  void forget() {
    for (Layer &layer : layers_)
      for (Floats *sum : {&layer.weight_change, &layer.bias_change}) std::fill(sum->begin(), sum->end(), 0.0f);
  }

  // Adds the gradient of samples that went forward in rows, given that of what nodes came to, in rows of `wide`: 0 for
  // those that fill the last vector.
  [[gnu::noinline]] void backward(const float *rows, long wide) {
    if (layers_.empty()) return;
    const long width = nodes_ * samples_;
    from_rows(rows, wide, this->width(), samples_, [&](long row, long s, V own) {
      store(&change_[of_output(row) + s], load(&last().value[of_output(row) + s]) > V{} ? own : V{});
    });
    for (long l = layers_.size() - 1; l >= 0; l--) {
      Layer &layer = layers_[l];
      const long rows = layer.units + 2 * heads_;
      std::fill_n(pull_.begin(), rows * width, 0.0f);
      each_node([&](long head, long i, long first, long end, long s) { answer(layer, head, i, first, end, s); });
      for (long u = 0; u < layer.units; u++) {
        V sum = load(&layer.bias_change[u * kLanes]);
        for (long k = 0; k < width; k += kLanes) sum += load(&change_[u * width + k]);
        store(&layer.bias_change[u * kLanes], sum);
      }
      add_products(layer.weight_change.data(), pull_.data(), in_fours(rows),
                   l ? layers_[l - 1].value.data() : input_.data(), in_fours(layer.inputs), width);
      if (l)
        product<kGated>(change_.data(), width, layer.weight.data(), 1, layer.inputs, pull_.data(), width, layer.inputs,
                        width, rows, {zeros_.data(), 0, layers_[l - 1].value.data()});
    }
  }

  // Adds the gradient by what was seen of samples that went backward, in rows of `wide`.
  [[gnu::noinline]] void input_change(float *rows, long wide, long count) {
    if (layers_.empty()) return;
    const Layer &layer = layers_[0];
    const long width = nodes_ * samples_;
    product<kPlain>(change_.data(), width, layer.weight.data(), 1, layer.inputs, pull_.data(), width, features_, width,
                    layer.units + 2 * heads_, {zeros_.data(), 0, nullptr});
    for (long f = 0; f < features_; f++)
      for (long node = 0; node < nodes_; node++)
        for (long s = 0, row = rows_[node * features_ + f]; s < count && row >= 0; s++)
          rows[s * wide + row] += change_[at(f, node) + s];
  }

  [[gnu::noinline]] void gradient(float *flat) const {
    for (const Layer &layer : layers_) {
      const long inputs = layer.inputs, columns = in_fours(inputs);
      const auto found = [&](long row, long i) {
        return total(load(&layer.weight_change[(row * columns + i) * kLanes]));
      };
      float *own = flat + layer.at;
      for (long u = 0; u < layer.units; u++) {
        for (long i = 0; i < inputs; i++) own[u * inputs + i] = found(u, i);
        for (long side : {0, 1}) {
          float &scores = own[layer.units * (inputs + side) + u];
          scores = 0;
          for (long i = 0; i < inputs; i++) {
            const float by = found(scoring(layer, u, side), i);
            own[u * inputs + i] += by * layer.scores(u, side), scores += by * layer.own[u * inputs + i];
          }
        }
        own[layer.units * (inputs + 2) + u] = total(load(&layer.bias_change[u * kLanes]));
      }
    }
  }

 private:
  struct Layer {
    long inputs, units, at;             // of its parameters in the flat vector
    Floats own, weight;                 // parameters: weight, target, source, bias; [units, targets, sources][inputs]
    Floats mixed, share, value;         // [units, targets, sources] of nodes, [heads][edges][samples], [units] of nodes
    Floats weight_change, bias_change;  // [units, targets, sources][inputs], [units]: vectors, whose totals they are

    // What a unit counts for in the score of a node as the one that attends (side 0) or is attended to (1).
    float scores(long u, long side) const { return own[units * (inputs + side) + u]; }
    float bias(long u) const { return own[units * (inputs + 2) + u]; }
  };

  // Samples through all layers, by what is seen [seen][apart].
  [[gnu::noinline]] void pass(const float *seen, long apart, long count) {
    samples_ = padded(count);
    float *own = input_.data();
    for (long f = 0; f < features_; f++)
      for (long node = 0; node < nodes_; node++, own += samples_) {
        const long row = rows_[node * features_ + f];
        if (row < 0) std::fill_n(own, count, 0.0f);
        else std::copy_n(seen + row * apart, count, own);
      }
    const long constants = layers_[0].inputs - features_, width = nodes_ * samples_;
    for (long c = 0; c < constants; c++)
      for (long node = 0; node < nodes_; node++) own = std::fill_n(own, samples_, constants_[node * constants + c]);
    const float *below = input_.data();
    for (Layer &layer : layers_) {
      product<kPlain>(layer.mixed.data(), width, layer.weight.data(), layer.inputs, 1, below, width,
                      layer.units + 2 * heads_, width, layer.inputs, {zeros_.data(), 0, nullptr});
      each_node([&](long head, long i, long first, long end, long s) { hear(layer, head, i, first, end, s); });
      below = layer.value.data();
    }
  }

  const Layer &last() const { return layers_.back(); }

  // Where samples of a row of some node begin, of one of [nodes][units], and the row of the scores of a unit's head.
  long at(long row, long node) const { return (row * nodes_ + node) * samples_; }
  long of_output(long row) const { return at(row % last().units, row / last().units); }
  long scoring(const Layer &layer, long u, long side) const {
    return layer.units + side * heads_ + u / (layer.units / heads_);
  }

  // For every head, node and vector of samples: each(head, node, its edges from first to end, the first sample).
  template <class Each>
  void each_node(Each each) {
    for (long head = 0; head < heads_; head++)
      for (long i = 0; i < nodes_; i++)
        for (long s = 0; s < samples_; s += kLanes) each(head, i, i ? end_[i - 1] : 0, end_[i], s);
  }

  // What node i hears.
  void hear(Layer &layer, long head, long i, long first, long end, long s) {
    const long size = layer.units / heads_, apart = nodes_ * samples_;
    const float *mixed = &layer.mixed[s];
    float *share = &layer.share[head * neighbour_.size() * samples_ + s];
    const V target = load(mixed + at(layer.units + head, i));
    V top = V{} - 1e30f, sum{};
    for (long e = first; e < end; e++) {
      V score = target + load(mixed + at(layer.units + heads_ + head, neighbour_[e]));
      score = score > V{} ? score : score * kSlope, top = score > top ? score : top;
      store(share + e * samples_, score);
    }
    for (long e = first; e < end; e++) {
      const V own = exponential(load(share + e * samples_) - top);
      store(share + e * samples_, own), sum += own;
    }
    const V one = 1.0f / sum;
    for (long e = first; e < end; e++) store(share + e * samples_, load(share + e * samples_) * one);
    panels<kPanel>(size * kLanes, [&](long n, auto units) {
      const long u = head * size + n / kLanes;
      V value[units];
      for (int k = 0; k < units; k++) value[k] = V{} + layer.bias(u + k);
      for (long e = first; e < end; e++) {
        const V own = load(share + e * samples_);
        const float *there = mixed + at(u, neighbour_[e]);
        for (int k = 0; k < units; k++) value[k] += own * load(there + k * apart);
      }
      for (int k = 0; k < units; k++) store(&layer.value[at(u + k, i) + s], value[k] > V{} ? value[k] : V{});
    });
  }

  // Given what pulls at node i in `change_`, adds to what pulls at what was mixed of its neighbours.
  void answer(const Layer &layer, long head, long i, long first, long end, long s) {
    const long size = layer.units / heads_, apart = nodes_ * samples_, target = at(layer.units + head, i) + s;
    const float *share = &layer.share[head * neighbour_.size() * samples_ + s];
    std::fill_n(by_share_.begin(), end - first, V{});
    panels<kPanel>(size * kLanes, [&](long n, auto units) {
      const long u = head * size + n / kLanes;
      V above[units];
      for (int k = 0; k < units; k++) above[k] = load(&change_[at(u + k, i) + s]);
      for (long e = first; e < end; e++) {
        const V own = load(share + e * samples_);
        const long there = at(u, neighbour_[e]) + s;
        V by_share = by_share_[e - first];
        for (int k = 0; k < units; k++) {
          float *pull = &pull_[there + k * apart];
          store(pull, load(pull) + above[k] * own);
          by_share += above[k] * load(&layer.mixed[there + k * apart]);
        }
        by_share_[e - first] = by_share;
      }
    });
    V mean{}, by_target{};
    for (long e = first; e < end; e++) mean += load(share + e * samples_) * by_share_[e - first];
    for (long e = first; e < end; e++) {
      const long source = at(layer.units + heads_ + head, neighbour_[e]) + s;
      const V score = load(&layer.mixed[target]) + load(&layer.mixed[source]);
      const V by_leaky = load(share + e * samples_) * (by_share_[e - first] - mean);
      const V by_score = score > V{} ? by_leaky : by_leaky * kSlope;
      store(&pull_[source], load(&pull_[source]) + by_score), by_target += by_score;
    }
    store(&pull_[target], by_target);
  }

  long nodes_ = 0, features_ = 0, heads_ = 0, seen_ = 0, count_ = 0, samples_ = 0;  // the last: that go through now
  std::vector<int64_t> rows_, neighbour_, end_;  // [nodes][features]; of all edges, by node the last one's successor
  std::vector<float> constants_;
  std::vector<Layer> layers_;
  Floats lanes_, input_, zeros_, change_, pull_;  // change_: by values; pull_: by what was mixed
  std::vector<V, OnLines<V>> by_share_;
};
