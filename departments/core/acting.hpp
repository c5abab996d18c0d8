// Networks that act on copies of the firm side by side: numbers of a row belong to one copy each.
#pragma once
#include "heads.hpp"
#include "memory.hpp"
#include "perceptron.hpp"

constexpr long kTogether = 16;  // copies of the firm that act at once, as the compiled world has them
constexpr long kAbreast = 64;   // and where there is no world between two networks; also those of clones at a time

// A network with its memory and head. It acts on some rows of what there is to see. Of its clones each acts for a
// product of its own, on rows of its own: a row of the network is that of the first clone, then of the next, so that
// clones are to it what copies are.
class Actor {
 public:
  explicit Actor(const Acting &acting, long copies = kTogether)
      : each_(copies),
        clones_(acting.clones),
        copies_(copies * acting.clones),
        block_(std::min(copies_, kAbreast)),
        given_(acting.given),
        size_(acting.units),
        outputs_(outputs_of(*acting.head)),
        observed_((acting.widths[0] - size_) / acting.stacked),
        remembered_(size_ ? size_ : acting.widths[0] - observed_),
        head_(*acting.head),
        attention_(acting.graph, false, block_),
        attended_(attention_.width() * copies_),
        mask_(head_.mask, head_.mask + (head_.mask ? head_.segments * head_.products : 0)),
        traits_(acting.traits, acting.traits + given_ * clones_),
        input_(attended_ + acting.widths[0] * copies_),
        output_(outputs_ * copies_),
        choice_(with_mask()),
        logit_(outputs_ + 1),
        noise_(noise_of(head_)),
        chosen_(actions_of(head_)),
        pull_(2 * (outputs_ + 1)) {
    for (long i = 0; i < (observed_ - given_) * clones_; i++) rows_.push_back(acting.rows ? acting.rows[i] : i);
    const float *flat = acting.parameters;
    if (size_) {
      const float *recurrent = flat + 3 * size_ * observed_, *bias = recurrent + 3 * size_ * size_;
      kept_.assign(recurrent, bias);
      for (long gate : {2, 0, 1})
        fresh_.insert(fresh_.end(), flat + gate * size_ * observed_, flat + (gate + 1) * size_ * observed_);
      for (long gate : {2, 0, 1, 5})
        for (long o = 0; o < size_; o++) {
          const float own = bias[gate * size_ + o];
          start_.insert(start_.end(), copies_, gate < 2 ? own + bias[(gate + 3) * size_ + o] : own);
        }
      gates_.resize(start_.size());
      flat = bias + 6 * size_;
    }
    attention_.take(flat), flat += attention_.count();
    for (int64_t i = 0; i + 1 < acting.layers; i++) {
      Layer layer{i ? acting.widths[i] : attention_.behind(acting.widths[0]), acting.widths[i + 1], {}, {}, {}};
      layer.weight.assign(flat, flat + layer.inputs * layer.outputs), flat += layer.inputs * layer.outputs;
      for (int64_t o = 0; o < layer.outputs; o++) layer.bias.insert(layer.bias.end(), block_, flat[o]);
      layer.value.resize(layer.outputs * block_), flat += layer.outputs;
      layers_.push_back(std::move(layer));
    }
  }

  long outputs() const { return outputs_ * clones_; }
  long actions() const { return actions_of(head_) * clones_; }
  long noise() const { return noise_of(head_) * clones_; }
  float *output() { return output_.data(); }  // place for [outputs][copies]
  long remembered() const { return remembered_ * clones_; }
  float *memory() { return input() + (size_ ? observed_ : 0) * copies_; }  // [remembered][copies]
  void begin() { std::fill(input_.begin(), input_.end(), 0.0f); }

  // Outputs [outputs][copies] of the first `count` copies by rows of what there is to see, which are `apart`; the
  // memory goes on.
  void act(const float *seen, long apart, long count, float *out) {
    if (!size_) std::memmove(input() + observed_ * copies_, input(), remembered_ * copies_ * sizeof(float));
    see(seen, apart, count);
    if (size_) follow();
    for (long first = 0; first < copies_; first += block_) {
      if (attended_) attention_.forward(input() + first, &input_[first], copies_, std::min(block_, copies_ - first));
      const float *below = &input_[first];
      long wide = copies_;
      for (Layer &layer : layers_) {
        const bool last = &layer == &layers_.back();
        float *value = last ? out + first : layer.value.data();
        const auto pass = last ? product<kPlain> : product<kRelu>;
        pass(value, last ? copies_ : block_, layer.weight.data(), layer.inputs, 1, below, wide, layer.outputs,
             std::min(block_, copies_ - first), layer.inputs, {layer.bias.data(), block_, nullptr});
        below = value, wide = block_;
      }
    }
    if (head_.scores < 0) return;
    const float *score = input() + (head_.scores - head_.orders) * copies_;
    for (long i = head_.orders * copies_; i < outputs_ * copies_; i += kLanes)
      store(out + i, load(out + i) + load(score + i) * (float)head_.sharpness);
  }

  // Actions [actions][copies] by outputs and noise [noise][copies], or without; log probabilities of choices [copies].
  void decide(const float *out, const float *noise, float *did, float *log_prob) {
    for (long i = 0; i < head_.orders * copies_; i += kLanes)
      store(did + i, noise ? load(out + i) + load(noise + i) : load(out + i));
    for (long i = head_.orders * copies_; i < placed_of(head_) * copies_; i += kLanes) {
      const V logit = noise ? load(out + i) + load(noise + i) : load(out + i);
      store(did + i, logit >= 0.0f ? V{} + 1.0f : V{});
    }
    for (long s = 0; s < each_; s += kLanes) {  // there are no clones where there are choices
      V sum{}, spread;
      for (int64_t segment = 0; segment < head_.segments; segment++) {
        const long logits = head_.products + 1, places = head_.products + head_.slots;
        for (long i = 0; i < logits; i++) logit_[i] = load(out + (head_.orders + segment * logits + i) * copies_ + s);
        for (long i = 0; i < places && noise; i++)
          noise_[i] = load(noise + (head_.orders + segment * places + i) * copies_ + s);
        choice_.draw(segment, logit_.data(), noise ? noise_.data() : nullptr, chosen_.data());
        for (long i = 0; i < head_.slots; i++)
          store(did + (head_.orders + segment * head_.slots + i) * copies_ + s, chosen_[i]);
        sum += choice_.log_prob(segment, logit_.data(), chosen_.data(), pull_.data(), spread, &pull_[logits]);
      }
      store(log_prob + s, sum);
    }
  }

  // From now on it also takes gradients back, and adds up its own; only one without memory can.
  void learn(const Acting &acting) {
    network_ = std::make_unique<Network>(acting.widths, acting.layers, true, acting.graph);
    network_->take(acting.parameters), network_->forget();
    change_.resize(block_ * network_->input_width());
  }

  void gradient(float *flat) const { network_->gradient(flat); }

  // Adds to `by_seen` what `by_out` means for what was seen; goes forward once more instead of remembering it all.
  const float *back(const float *seen, const float *by_out, float *by_seen) {
    const long in = network_->input_width(), wide = network_->output_width(), apart = padded(observed_);
    see(seen, each_, each_);
    for (long first = 0; first < copies_; first += block_) {
      const long some = std::min(block_, copies_ - first);
      for (long i = 0; i < observed_; i++)
        for (long s = 0; s < some; s++) network_->input()[s * in + i] = input()[i * copies_ + first + s];
      network_->forward(some);
      for (long o = 0; o < outputs_; o++)
        for (long s = 0; s < some; s++) network_->output_change()[s * wide + o] = by_out[o * copies_ + first + s];
      network_->backward(some);
      network_->input_change(change_.data(), 0, apart, some);
      for (long i = 0; i < observed_ - given_; i++)
        for (long s = 0; s < some; s++) {
          const long at = first + s;
          by_seen[rows_[i * clones_ + at / each_] * each_ + at % each_] += change_[s * apart + i];
        }
    }
    return by_out + outputs_ * copies_;
  }

 private:
  float *input() { return &input_[attended_]; }

  struct Layer {
    int64_t inputs, outputs;
    Floats weight, bias, value;  // [outputs][inputs], [outputs][copies] twice
  };

  Head with_mask() const {
    Head head = head_;
    if (head.mask) head.mask = mask_.data();
    return head;
  }

  // What is seen of the first `count` copies, into the input.
  void see(const float *seen, long apart, long count) {
    for (size_t i = 0; i < rows_.size(); i++)
      std::memcpy(input() + i * each_, seen + rows_[i] * apart, count * sizeof(float));
    float *given = input() + rows_.size() * each_;
    for (const float trait : traits_) given = std::fill_n(given, each_, trait);
  }

  // The gated unit, whose state ends the input.
  void follow() {
    float *state = memory(), *own = gates_.data();
    const long rest = size_ * copies_;
    product<kPlain>(own, copies_, fresh_.data(), observed_, 1, input(), copies_, 3 * size_, copies_, observed_,
                    {start_.data(), copies_, nullptr});
    std::copy_n(&start_[3 * rest], rest, own + 3 * rest);
    product<kPlain>(own + rest, copies_, kept_.data(), size_, 1, state, copies_, 3 * size_, copies_, size_,
                    {own + rest, copies_, nullptr});
    for (long i = 0; i < rest; i += kLanes) {
      V n = load(own + i), r = load(own + rest + i), z = load(own + 2 * rest + i);
      store(state + i, remember(n, r, z, load(own + 3 * rest + i), load(state + i)));
    }
  }

  long each_, clones_, copies_, block_;  // copies of the firm; of the network, and of these how many go through at once
  long given_, size_, outputs_, observed_, remembered_;
  Head head_;
  Attention attention_;
  long attended_;  // numbers that it gives
  std::vector<float> mask_, traits_;
  std::vector<int64_t> rows_;
  Floats input_, output_, change_;       // [nodes][units] and [inputs] of [copies], [outputs][copies]
  Floats fresh_, kept_, start_, gates_;  // [n r z][observed], [r z q][units], [n r z q][copies] twice
  std::vector<Layer> layers_;
  Choice choice_;
  std::vector<V, OnLines<V>> logit_, noise_, chosen_, pull_;  // of one segment
  std::unique_ptr<Network> network_;
};

// What a network is asked in one period, on any number of copies.
inline void decide(Actor &actor, const Turn &turn) {
  std::vector<float> noise(actor.noise() * kAbreast), did(actor.actions() * kAbreast), log_prob(kAbreast);
  for (int64_t first = 0; first < turn.copies; first += kAbreast) {
    const long count = std::min<int64_t>(kAbreast, turn.copies - first);
    // Some copies of an array's rows, into a block of rows or out of it.
    const auto in = [&](const float *from, float *to, long rows) {
      for (long i = 0; i < rows; i++) std::copy_n(from + i * turn.copies + first, count, to + i * kAbreast);
    };
    const auto out = [&](const float *from, float *to, long rows) {
      for (long i = 0; i < rows; i++) std::copy_n(from + i * kAbreast, count, to + i * turn.copies + first);
    };
    in(turn.memory, actor.memory(), actor.remembered());
    if (turn.noise) in(turn.noise, noise.data(), actor.noise());
    actor.act(turn.seen + first, turn.copies, count, actor.output());
    actor.decide(actor.output(), turn.noise ? noise.data() : nullptr, did.data(), log_prob.data());
    out(actor.memory(), turn.after, actor.remembered());
    out(actor.output(), turn.output, actor.outputs()), out(did.data(), turn.action, actor.actions());
    out(log_prob.data(), turn.log_prob, 1);
  }
}
