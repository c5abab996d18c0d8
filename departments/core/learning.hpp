// The learning loops around a network.
#pragma once
#include "heads.hpp"
#include "memory.hpp"
#include "perceptron.hpp"

struct Taken {
  const float *from;
  int64_t width;
};

class Walk {
 public:
  // `others`: what is taken of a sample beside its observation, [sequences][periods][width].
  Walk(const Fit &fit, std::vector<Taken> others)
      : fit_(fit),
        taken_(std::move(others)),
        seen_(fit.widths[0] - fit.units),
        together_(fit.units ? std::max<int64_t>(kFew, kMany / fit.periods / kFew * kFew)
                            : Network::tile_of(fit.widths, fit.layers, fit.graph)),
        sample_(together_ * fit.periods),
        unit_(seen_, fit.units, sample_.size(), together_),
        network(fit.widths, fit.layers, true, fit.graph, sample_.size()),
        gradient(padded(fit.parameters_count)) {
    taken_.push_back({fit.observation, seen_});
  }

  // For every minibatch: each(tile of samples, how many, size of the minibatch) for its tiles, then end(its size),
  // which says whether to go on with a step.
  template <class Each, class End>
  void go(Each each, End end) {
    for (int64_t epoch = 0; epoch < fit_.epochs; epoch++) {
      const int64_t *index = fit_.order + epoch * fit_.sequences;
      for (int64_t part = 0; part < fit_.parts; part++) {
        const int64_t sequences = fit_.sequences / fit_.parts + (part < fit_.sequences % fit_.parts);
        const int64_t size = sequences * fit_.periods;
        unit_.take(fit_.parameters), network.take(fit_.parameters + unit_.count());
        unit_.forget(), network.forget();
        for (int64_t start = 0; start < sequences; start += together_) {
          const int64_t count = std::min(together_, sequences - start),
                        next = std::min(together_, sequences - start - count);
          pass(index + start, count, next, each, size);
        }
        index += sequences;
        unit_.gradient(gradient.data()), network.gradient(gradient.data() + unit_.count());
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
  static constexpr int64_t kFew = 24,
                           kMany = 480;  // sequences and samples of a tile with memory: it stays in the cache

  // Some sequences forward, to what `each` makes of their outputs, and backward; those after them are on their way.
  template <class Each>
  void pass(const int64_t *index, int64_t count, int64_t next, Each each, int64_t size) {
    const int64_t wide = network.input_width(), samples = count * fit_.periods;
    for (int64_t t = 0; t < fit_.periods; t++)
      for (int64_t s = 0; s < count; s++) sample_[t * count + s] = index[s] * fit_.periods + t;
    for (int64_t s = 0; s < samples; s++)
      std::memcpy(network.input() + s * wide, fit_.observation + sample_[s] * seen_, seen_ * sizeof(float));
    if (fit_.periods == 1) fetch(index + count, next);
    if (fit_.units) {
      for (int64_t s = 0; s < count; s++)
        std::memcpy(&unit_.memory[s * unit_.width()], fit_.memory + index[s] * fit_.units, fit_.units * sizeof(float));
      unit_.forward(network.input(), wide, fit_.periods, count);
    }
    for (int64_t first = 0; first < samples; first += network.tile_size()) {
      const int64_t some = std::min<int64_t>(network.tile_size(), samples - first);
      network.forward(some, first);
      each(&sample_[first], some, size);
      network.backward(some);
      if (fit_.units) network.input_change(&unit_.change[first * unit_.width()], seen_, unit_.width(), some);
    }
    if (fit_.units) unit_.backward(network.input(), wide, fit_.periods, count);
  }

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
  const int64_t seen_, together_;  // length of an observation; sequences of a tile
  std::vector<int64_t> sample_;    // of a tile, periods first
  Unit unit_;

 public:
  Network network;
  Floats gradient;
};

// How probable what was done is under the outputs of a tile, and what pulls at them.
class Likelihood {
 public:
  // `log_std` is that of the orders.
  Likelihood(const Head &head, const float *log_std)
      : head_(head),
        log_std_(log_std),
        outputs_(outputs_of(head)),
        places_(actions_of(head) - head.orders),
        choice_(head),
        value_(kMost / kLanes * outputs_),
        spread_pull_(value_.size()),
        chosen_(kMost / kLanes * places_),
        scale_(head.orders),
        moved(head.orders) {}

  // Looks at the outputs and observations of a tile, in rows, and at the actions [samples][actions] of its samples.
  void look(const float *output, long wide, const float *seen, long seen_wide, const float *action,
            const int64_t *sample, int64_t count) {
    constant_ = 0;
    for (int64_t k = 0; k < head_.orders; k++) {
      scale_[k] = std::exp(-log_std_[k]);
      constant_ += log_std_[k] + (float)kHalfLogTwoPi;
    }
    for (int64_t s = 0; s < count; s++) {
      const float *did = action + sample[s] * (head_.orders + places_), *own = output + s * wide;
      float *value = (float *)&value_[s / kLanes * outputs_] + s % kLanes;
      float *chosen = (float *)(chosen_.data() + s / kLanes * places_) + s % kLanes;
      for (int64_t k = 0; k < head_.orders; k++) value[k * kLanes] = (did[k] - own[k]) * scale_[k];
      if (!places_) continue;
      const float *score = head_.scores < 0 ? nullptr : seen + s * seen_wide + head_.scores - head_.orders;
      for (int64_t k = head_.orders; k < outputs_; k++)
        value[k * kLanes] = own[k] + (score ? score[k] * (float)head_.sharpness : 0);
      for (int64_t k = 0; k < places_; k++) chosen[k * kLanes] = did[head_.orders + k];
    }
  }

  // Log probabilities of the vector of samples from s on, and the entropy of their choices.
  V log_prob(int64_t s, V &spread) {
    V *own = &value_[s / kLanes * outputs_], *apart = &spread_pull_[s / kLanes * outputs_];
    V density = V{} - constant_;
    for (int64_t k = 0; k < head_.orders; k++) density -= 0.5f * own[k] * own[k];
    spread = V{};
    for (int64_t segment = 0; segment < head_.segments; segment++) {
      const int64_t at = head_.orders + segment * (head_.products + 1);
      const V *chosen = &chosen_[s / kLanes * places_ + segment * head_.slots];
      V own_spread;
      density += choice_.log_prob(segment, own + at, chosen, own + at, own_spread, apart + at);
      spread += own_spread;
    }
    return density;
  }

  // Then what pulls at the outputs where `weight` pulls at the log probabilities and `spread_weight` at the entropy.
  void pull(int64_t s, V weight, float spread_weight) {
    V *own = &value_[s / kLanes * outputs_], *apart = &spread_pull_[s / kLanes * outputs_];
    for (int64_t k = 0; k < head_.orders; k++) {
      moved[k] += total(weight * (own[k] * own[k] - 1.0f));
      own[k] = own[k] * weight * scale_[k];
    }
    for (int64_t k = head_.orders; k < outputs_; k++) own[k] = own[k] * weight + apart[k] * spread_weight;
  }

  void write(float *change, long wide, int64_t count) const {
    for (int64_t s = 0; s < count; s++)
      for (int64_t k = 0; k < outputs_; k++)
        change[s * wide + k] = ((const float *)&value_[s / kLanes * outputs_ + k])[s % kLanes];
  }

  // Of the orders.
  double entropy() const {
    double sum = 0;
    for (int64_t k = 0; k < head_.orders; k++) sum += log_std_[k] + 0.5 + kHalfLogTwoPi;
    return sum;
  }

 private:
  static constexpr double kHalfLogTwoPi = 0.91893853320467274178;
  typedef std::vector<V, OnLines<V>> Vectors;

  const Head head_;
  const float *log_std_;
  const int64_t outputs_, places_;
  Choice choice_;
  Vectors value_, spread_pull_, chosen_;  // [vectors of samples][outputs], or places
  Floats scale_;
  float constant_ = 0;

 public:
  std::vector<double> moved;  // what pulls at the log standard deviations
};

// The PPO update of a policy whose log standard deviations end the parameters; see departments/learning/ppo.py.
// told: KL divergence, share of clipped ratios, entropy, norm of the gradient; steps taken.
inline void improve(const Fit &fit, const Head &head, const float *action, const float *old_log_prob,
                    const float *advantage, double clip_ratio, double entropy_coef, double target_kl, double *told) {
  Walk walk(fit, {{action, actions_of(head)}, {old_log_prob, 1}, {advantage, 1}});
  const int64_t behind = fit.parameters_count - head.orders;
  Likelihood likelihood(head, fit.parameters + behind);
  Floats old(kMost), gain(kMost);
  double divergence = 0, clipped = 0, spread = 0;
  const float low = 1 - (float)clip_ratio, high = 1 + (float)clip_ratio;
  I lane;
  for (int i = 0; i < kLanes; i++) lane[i] = i;
  const auto each = [&](const int64_t *sample, int64_t count, int64_t size) {
    const Network &network = walk.network;
    likelihood.look(network.output(), network.output_width(), network.tile(), network.input_width(), action, sample,
                    count);
    for (int64_t s = 0; s < count; s++) old[s] = old_log_prob[sample[s]], gain[s] = advantage[sample[s]];
    V divergences{}, outside{}, spreads{};
    for (int64_t s = 0; s < count; s += kLanes) {
      const I real = lane + (int32_t)s < (int32_t)count;  // what fills the last vector counts for nothing
      V own_spread;
      const V density = likelihood.log_prob(s, own_spread);
      const V log_ratio = real ? density - load(&old[s]) : V{}, ratio = exponential(log_ratio);
      const V gains = real ? load(&gain[s]) : V{};
      divergences += ratio - 1.0f - log_ratio;
      outside += ratio < low ? V{} + 1.0f : ratio > high ? V{} + 1.0f : V{};
      spreads += real ? own_spread : V{};
      const V kept = gains > V{} ? (ratio <= high ? ratio : V{}) : (ratio >= low ? ratio : V{});
      likelihood.pull(s, kept * gains * (-1.0f / (float)size), -(float)(entropy_coef / (double)size));
    }
    divergence += total(divergences), clipped += total(outside), spread += total(spreads);
    likelihood.write(walk.network.output_change(), network.output_width(), count);
  };
  const auto end = [&](int64_t size) {
    divergence /= size;
    if (divergence > target_kl) return false;
    for (int64_t k = 0; k < head.orders; k++)
      walk.gradient[behind + k] = (float)(likelihood.moved[k] - entropy_coef), likelihood.moved[k] = 0;
    told[0] = divergence, told[1] += clipped / size, told[2] = likelihood.entropy() + spread / size;
    told[3] += walk.norm(), told[4] += 1;
    divergence = clipped = spread = 0;
    return true;
  };
  walk.go(each, end);
}
