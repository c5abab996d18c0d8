// What the outputs of a policy mean: orders around means, then a ranked choice of products for every segment.
//
// A segment's slots are filled one after the other, without replacement, from its products and as many `none`s as there
// are slots (Plackett-Luce); `none`s share the last logit. See departments/numerics/heads.py. All is of one vector of
// samples: an output, an action or a number of noise is a vector.
#pragma once
#include "call.hpp"
#include "vectors.hpp"

inline int64_t placed_of(const Head &head) { return head.orders * (1 + head.hybrid); }  // orders, and whether there are
inline int64_t outputs_of(const Head &head) { return placed_of(head) + head.segments * (head.products + 1); }
inline int64_t actions_of(const Head &head) { return placed_of(head) + head.segments * head.slots; }
inline int64_t noise_of(const Head &head) { return placed_of(head) + head.segments * (head.products + head.slots); }

constexpr float kNever = -1e9f;  // the logit of what may not be recommended

class Choice {
 public:
  explicit Choice(const Head &head) : head_(head), left_(head.products + 1), weight_(head.products + 1) {}

  // Log probability of the places chosen [slots] of one segment by logits [products + 1]; its gradient by the logits
  // goes to `pull`, to `spread` the entropy of the first slot, and to `spread_pull` the gradient of that.
  V log_prob(int64_t segment, const V *logit, const V *chosen, V *pull, V &spread, V *spread_pull) {
    const int64_t none = head_.products;
    begin(segment, logit);
    for (int64_t i = 0; i <= none; i++) pull[i] = V{};
    V sum_of_logs{}, nones = V{} + (float)head_.slots;
    for (int64_t slot = 0; slot < head_.slots; slot++) {
      V top = left_[none];
      for (int64_t i = 0; i < none; i++) top = left_[i] > top ? left_[i] : top;
      V sum{}, own = left_[none];
      for (int64_t i = 0; i <= none; i++) {
        const V gap = left_[i] - top;
        weight_[i] = gap > -80.0f ? exponential(gap) : V{};
        if (i == none) weight_[i] *= nones;
        else own = chosen[slot] == (float)i ? left_[i] : own;
        sum += weight_[i];
      }
      const V log_sum = logarithm(sum) + top, share = 1.0f / sum;
      sum_of_logs += own - log_sum;
      if (!slot) {
        spread = log_sum;
        for (int64_t i = 0; i <= none; i++) spread -= weight_[i] * share * left_[i];
        for (int64_t i = 0; i <= none; i++) spread_pull[i] = weight_[i] * share * (log_sum - left_[i] - spread);
      }
      for (int64_t i = 0; i <= none; i++) {
        const I is = i == none ? chosen[slot] >= (float)none : chosen[slot] == (float)i;
        pull[i] += (is ? V{} + 1.0f : V{}) - weight_[i] * share;
        if (i == none) nones -= is ? V{} + 1.0f : V{};
        else left_[i] = is ? V{} + 2 * kNever : left_[i];
      }
    }
    return sum_of_logs;
  }

  // Fills the slots of one segment: the largest sums of logits and noise [products + slots], or the largest logits.
  void draw(int64_t segment, const V *logit, const V *noise, V *chosen) {
    const int64_t none = head_.products;
    begin(segment, logit);
    for (int64_t slot = 0; slot < head_.slots; slot++) {
      V best = V{} + 8 * kNever, place{};
      for (int64_t i = 0; i < none + head_.slots; i++) {
        V key = left_[std::min(i, none)];
        if (noise) key += noise[i];
        for (int64_t before = 0; before < slot; before++) key = chosen[before] == (float)i ? V{} + 4 * kNever : key;
        const I better = key > best;
        place = better ? V{} + (float)i : place, best = better ? key : best;
      }
      chosen[slot] = place;
    }
  }

 private:
  void begin(int64_t segment, const V *logit) {
    for (int64_t i = 0; i <= head_.products; i++) {
      const bool never = i < head_.products && head_.mask && head_.mask[segment * head_.products + i] == 0;
      left_[i] = never ? V{} + kNever : logit[i];
    }
  }

  const Head head_;
  std::vector<V, OnLines<V>> left_, weight_;
};
