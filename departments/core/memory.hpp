// A gated recurrent unit along sequences of periods, forward and backward.
//
// r, z = sigmoid(..), n = tanh(W x + b + r (U h + c)), h' = (1 - z) n + z h. Source: Cho et al. (2014), in the form of
// torch.nn.GRU, whose order of parameters is r, z, n. Here the gates of a sample lie as n, r, z, q, where q = U h + c
// is what r opens for: so what W gives is n, r, z, and what U gives is r, z, q. Their gradients lie likewise.
#pragma once
#include "products.hpp"

// n and q become n and h', r and z their sigmoids; q stays.
inline V remember(V &n, V &r, V &z, V q, V before) {
  r = sigmoid(r), z = sigmoid(z), n = hyperbolic_tangent(n + r * q);
  return n + z * (before - n);
}

class Unit {
 public:
  // Of `size` units, of which there may be none; `samples` is how many go forward at once, in at most `most` sequences.
  Unit(long inputs, long size, long samples, long most)
      : inputs_(inputs),
        size_(size),
        wide_(padded(size)),
        fresh_(inputs * 3 * wide_),
        kept_(size * 3 * wide_),
        back_(3 * wide_ * wide_),
        bias_(4 * wide_),
        fresh_change_(fresh_.size()),
        kept_change_(kept_.size()),
        bias_change_(4 * wide_),
        gates_(samples * 4 * wide_),
        pull_(samples * 4 * wide_),
        real_(wide_),
        memory((most + kLanes) * wide_),
        change((samples + kLanes) * wide_) {
    std::fill_n(real_.begin(), size, 1.0f);
  }

  long count() const { return 3 * size_ * (inputs_ + size_ + 2); }  // its parameters
  long width() const { return wide_; }

  void take(const float *flat) {
    const float *recurrent = flat + 3 * size_ * inputs_, *bias = recurrent + 3 * size_ * size_;
    for (long gate = 0; gate < 3; gate++)
      for (long o = 0; o < size_; o++) {
        const long row = gate * size_ + o, fresh = (gate + 1) % 3 * wide_ + o, kept = gate * wide_ + o;
        for (long i = 0; i < inputs_; i++) fresh_[i * 3 * wide_ + fresh] = flat[row * inputs_ + i];
        for (long i = 0; i < size_; i++) kept_[i * 3 * wide_ + kept] = recurrent[row * size_ + i];
        std::memcpy(&back_[kept * wide_], recurrent + row * size_, size_ * sizeof(float));
        const float own = bias[row], repeated = bias[3 * size_ + row];
        if (gate < 2) bias_[fresh] = own + repeated;
        else bias_[o] = own, bias_[3 * wide_ + o] = repeated;
      }
  }

  void forget() {
    for (Floats *sum : {&fresh_change_, &kept_change_, &bias_change_}) std::fill(sum->begin(), sum->end(), 0.0f);
  }

  // Samples [periods][copies] in rows of `wide`: behind its inputs a row gets the state after it.
  void forward(float *rows, long wide, long periods, long copies) {
    product<kPlain>(gates_.data(), 4 * wide_, rows, wide, 1, fresh_.data(), 3 * wide_, periods * copies, 3 * wide_,
                    inputs_, {bias_.data(), 0, nullptr});
    for (long t = 0; t < periods; t++) {
      const Before before = before_of(rows, wide, t, copies);
      float *own = &gates_[t * copies * 4 * wide_];
      for (long s = 0; s < copies; s++)
        std::memcpy(own + (4 * s + 3) * wide_, &bias_[3 * wide_], wide_ * sizeof(float));
      product<kPlain>(own + wide_, 4 * wide_, before.state, before.apart, 1, kept_.data(), 3 * wide_, copies, 3 * wide_,
                      size_, {own + wide_, 4 * wide_, nullptr});
      for (long s = 0; s < copies; s++)
        for (long o = 0; o < wide_; o += kLanes) {
          float *gate = own + s * 4 * wide_ + o, *state = rows + (t * copies + s) * wide + inputs_ + o;
          V n = load(gate), r = load(gate + wide_), z = load(gate + 2 * wide_);
          const V after = remember(n, r, z, load(gate + 3 * wide_), load(before.state + s * before.apart + o));
          store(gate, n), store(gate + wide_, r), store(gate + 2 * wide_, z);
          if (o + kLanes <= size_) store(state, after);
          else std::memcpy(state, &after, (size_ - o) * sizeof(float));
        }
    }
  }

  // Adds the gradient of samples that went forward, given in `change` that of their states by what comes above.
  void backward(const float *rows, long wide, long periods, long copies) {
    for (long t = periods - 1; t >= 0; t--) {
      const Before before = before_of(rows, wide, t, copies);
      float *own = &change[t * copies * wide_], *earlier = own - copies * wide_;
      for (long s = 0; s < copies; s++)
        for (long o = 0; o < wide_; o += kLanes) {
          const float *gate = &gates_[(t * copies + s) * 4 * wide_ + o];
          const V n = load(gate), r = load(gate + wide_), z = load(gate + 2 * wide_), q = load(gate + 3 * wide_);
          const V by_state = load(own + s * wide_ + o) * load(&real_[o]);
          const V by_new = by_state * (1.0f - z) * (1.0f - n * n);
          float *pull = &pull_[(t * copies + s) * 4 * wide_ + o];
          store(pull, by_new);
          store(pull + wide_, by_new * q * r * (1.0f - r));
          store(pull + 2 * wide_, by_state * (load(before.state + s * before.apart + o) - n) * z * (1.0f - z));
          store(pull + 3 * wide_, by_new * r);
          if (t) store(earlier + s * wide_ + o, load(earlier + s * wide_ + o) + by_state * z);
        }
      if (t)
        product<kPlain>(earlier, wide_, &pull_[(t * copies * 4 + 1) * wide_], 4 * wide_, 1, back_.data(), wide_, copies,
                        wide_, 3 * wide_, {earlier, wide_, nullptr});
    }
    const long samples = periods * copies;
    for (long s = 0; s < samples; s += kTile) {
      const long some = std::min<long>(kTile, samples - s);
      add_product(fresh_change_, rows + s * wide, wide, &pull_[s * 4 * wide_], inputs_, some);
      for (long o = 0; o < 4 * wide_; o += kLanes)
        add_rows<1>(&bias_change_[o], &pull_[s * 4 * wide_ + o], 4 * wide_, some);
    }
    add_product(kept_change_, memory.data(), wide_, &pull_[wide_], size_, copies);
    for (long s = copies; s < samples; s += kTile)
      add_product(kept_change_, rows + (s - copies) * wide + inputs_, wide, &pull_[(s * 4 + 1) * wide_], size_,
                  std::min<long>(kTile, samples - s));
  }

  void gradient(float *flat) const {
    float *recurrent = flat + 3 * size_ * inputs_, *bias = recurrent + 3 * size_ * size_;
    for (long gate = 0; gate < 3; gate++)
      for (long o = 0; o < size_; o++) {
        const long row = gate * size_ + o, fresh = (gate + 1) % 3 * wide_ + o, kept = gate * wide_ + o;
        for (long i = 0; i < inputs_; i++) flat[row * inputs_ + i] = fresh_change_[i * 3 * wide_ + fresh];
        for (long i = 0; i < size_; i++) recurrent[row * size_ + i] = kept_change_[i * 3 * wide_ + kept];
        bias[row] = bias_change_[fresh], bias[3 * size_ + row] = bias_change_[kept + wide_];
      }
  }

 private:
  struct Before {
    const float *state;
    long apart;
  };

  Before before_of(const float *rows, long wide, long t, long copies) const {
    return t ? Before{rows + (t - 1) * copies * wide + inputs_, wide} : Before{memory.data(), wide_};
  }

  // Adds A(samples, height) transposed times three gates of the pull.
  void add_product(Floats &sum, const float *a, long wide, const float *pull, long height, long samples) {
    product<kPlain>(sum.data(), 3 * wide_, a, 1, wide, pull, 4 * wide_, height, 3 * wide_, samples,
                    {sum.data(), 3 * wide_, nullptr});
  }

  long inputs_, size_, wide_;
  Floats fresh_, kept_, back_, bias_;                // [inputs][n r z], [size][r z q], [r z q][size], [n r z q]
  Floats fresh_change_, kept_change_, bias_change_;  // as those
  Floats gates_, pull_;                              // [samples][4][wide] values and gradients
  Floats real_;                                      // [wide] 1, and 0 where there is no unit

 public:
  Floats memory, change;  // [copies][wide] before the first period; [samples][wide]
};
