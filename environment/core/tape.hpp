// Values that remember what they were made of, so that the gradient of the cost can be found.
//
// Source: reverse accumulation, as in Griewank & Walther (2008), Evaluating derivatives, ch. 3. A vector of copies has
// a tape of all periods. Where two branches meet the gradient is that of `environment.events` in PyTorch: what is
// served is what is wanted where stock suffices exactly, what is cut off passes at the bound, rounding passes straight
// through, and who is served first is a ramp in the difference of positions.
#pragma once
#include "call.hpp"
#include "lanes.hpp"

typedef Reals<1> Value;
typedef Truths<1> Truth;
struct Taped;

class Tape {
 public:
  enum Kind { kGiven, kSum, kDifference, kTimes, kPicked, kInward, kBounded, kDecided };

  explicit Tape(const Call &call) : call_(call) {}

  void begin(long copies) {
    nodes_.clear(), factors_.clear(), seen_.clear(), looked_.clear(), costs_.clear();
    count_ = copies;
  }

  // A node made of a and b (-1: what has no gradient) with a factor, a mask or what was seen, by its place.
  __attribute__((noinline)) int note(Kind kind, int a, int b, long with = 0) {
    nodes_.push_back({kind, a, b, with});
    return (int)nodes_.size() - 1;
  }
  __attribute__((noinline)) int note_with(Kind kind, int a, int b, R with) {
    factors_.push_back(with);
    return note(kind, a, b, (long)factors_.size() - 1);
  }

  void pay(int node) { costs_.push_back(node); }
  void decide(const std::vector<Taped> &see, std::vector<Taped> &did);

  // Finds the gradient of the mean cost by all nodes; the networks add up what comes back to them.
  void back() {
    R whole{};
    for (long i = 0; i < count_; i++) whole[i] = call_.share;
    change_.assign(nodes_.size(), R{});
    for (int node : costs_) change_[node] += whole;
    for (long i = (long)nodes_.size() - 1; i >= 0; i--) {
      const Node node = nodes_[i];
      const R mine = change_[i];
      switch (node.kind) {
        case kGiven: break;
        case kSum: change_[node.a] += mine, change_[node.b] += mine; break;
        case kDifference:
          if (node.a >= 0) change_[node.a] += mine;
          change_[node.b] -= mine;
          break;
        case kTimes: change_[node.a] += mine * factors_[node.with]; break;
        case kPicked: {
          const M where = (M)factors_[node.with];
          if (node.a >= 0) change_[node.a] += where ? mine : R{};
          if (node.b >= 0) change_[node.b] += where ? R{} : mine;
          break;
        }
        case kInward: change_[node.a] += factors_[node.with] * mine >= 0 ? mine : R{}; break;
        case kBounded: change_[node.a] += within(Value{{mine}}, -call_.bound, call_.bound).part[0]; break;
        case kDecided:
          given_.assign(given_.size(), R{});
          call_.back(call_.actors, (const real *)&seen_[node.with], (const real *)&change_[i + 1], (real *)&given_[0]);
          for (size_t g = 0; g < given_.size(); g++)
            if (const int from = looked_[node.with + g]; from >= 0) change_[from] += given_[g];
      }
    }
  }

 private:
  struct Node {
    Kind kind;
    int a, b;
    long with;
  };
  const Call &call_;
  long count_ = kLanes;
  std::vector<Node> nodes_;
  std::vector<R> factors_, seen_, change_, given_;  // `change_`: of the cost by each node
  std::vector<int> looked_, costs_;                 // nodes that were seen; nodes whose sum is the cost
};

static thread_local Tape *tape __attribute__((tls_model("initial-exec")));  // of this call

struct Taped {
  static constexpr long kCopies = kLanes;
  Value value{};
  int node = -1;
  Taped() = default;
  Taped(Value value, int node = -1) : value(value), node(node) {}
};

inline Taped operator+(Taped a, Taped b) {
  const int node = a.node < 0 ? b.node : b.node < 0 ? a.node : tape->note(Tape::kSum, a.node, b.node);
  return {a.value + b.value, node};
}
inline Taped operator-(Taped a, Taped b) {
  return {a.value - b.value, b.node < 0 ? a.node : tape->note(Tape::kDifference, a.node, b.node)};
}
inline Taped operator/(Taped a, Value by) {
  return {a.value / by, a.node < 0 ? -1 : tape->note_with(Tape::kTimes, a.node, -1, (all<Value>(1) / by).part[0])};
}
inline Taped operator*(Taped a, Value by) {
  return {a.value * by, a.node < 0 ? -1 : tape->note_with(Tape::kTimes, a.node, -1, by.part[0])};
}
inline Taped &operator+=(Taped &a, Taped b) { return a = a + b; }
inline Taped &operator-=(Taped &a, Taped b) { return a = a - b; }
inline Truth operator<=(Taped a, Value b) { return a.value <= b; }
inline Truth operator>(Taped a, Value b) { return a.value > b; }
inline auto wide(Taped x) { return wide(x.value); }
inline void gather(Parts<D, 1> &sum, Taped x) { gather(sum, x.value); }
inline Value plain(Taped x) { return x.value; }
inline void store(real *to, Taped x, long count) { store(to, x.value, count); }

inline Taped pick(Truth where, Taped a, Taped b) {
  const bool given = a.node < 0 && b.node < 0;
  const int node = given ? -1 : tape->note_with(Tape::kPicked, a.node, b.node, (R)where.part[0]);
  return {pick(where, a.value, b.value), node};
}
inline Taped least(Taped a, Taped b) { return pick(a.value < b.value, a, b); }
inline Taped most(Taped a, Taped b) { return pick(a.value >= b.value, a, b); }
inline Taped within(Taped x, real low, real high) {
  const Taped kept = pick((x.value >= all<Value>(low)) & (x.value <= all<Value>(high)), x, Taped());
  return {within(x.value, low, high), kept.node};
}
// Beyond a bound the gradient there that leads back; see `environment.orders._Inward`.
inline Taped inward(Taped wish, real high) {
  const Value kept = within(wish.value, 0, high);
  const int node = wish.node < 0 ? -1 : tape->note_with(Tape::kInward, wish.node, -1, (wish.value - kept).part[0]);
  return {kept, node};
}
inline Taped accepted(Taped wish, real high) {
  const Taped kept = within(wish, 0, high);
  return {rounded(kept.value), kept.node < 0 ? -1 : tape->note(Tape::kBounded, kept.node, -1)};
}
inline Taped accepted(Taped wish, real high, real multiple, real least) {
  return {accepted(wish.value, high, multiple, least), accepted(wish, high).node};
}
inline Taped preceding(Taped wish, real most) {
  const Taped kept = within(wish, -most, most);
  return {rounded(kept.value), kept.node < 0 ? -1 : tape->note(Tape::kBounded, kept.node, -1)};
}
inline double plain(Taped x, long copy) { return plain(x.value, copy); }
inline Taped served(Taped left, Taped want) { return pick(left.value < want.value, most(left, Taped()), want); }

inline Taped share_of(Taped units, real parts, Truth number) {
  return {share_of(units.value, parts, number), (units * all<Value>(parts / kWhole)).node};
}

// Backwards the step in a gap of positions is a ramp; `kept` is what it lets through of some units.
inline Taped ramp(Taped kept, Taped gap, Value units, real reach) {
  const Value near = pick((gap.value < all<Value>(reach)) & (gap.value > all<Value>(-reach)), units, Value{});
  return {kept.value, (kept + gap * (near * all<Value>((real)(0.5 / reach)))).node};
}
inline void join_before(Taped &sum, Taped gap, Taped units, real reach) {
  sum += ramp(pick(gap.value <= Value{}, units, Taped()), gap, Value{} - units.value, reach);
}
inline void join_behind(Taped &sum, Taped gap, Taped units, real reach) {
  sum += ramp(pick(gap.value <= Value{}, Taped(), units), gap, units.value, reach);
}
inline Taped paid(Taped x) {
  if (x.node >= 0) tape->pay(x.node);
  return x;
}
inline void join(Taped &slot, Truth where, Taped units) {
  bool any = false;
  for (long i = 0; i < kLanes; i++) any |= where[i] != 0;
  if (any) slot += pick(where, units, Taped());
}

inline void Tape::decide(const std::vector<Taped> &see, std::vector<Taped> &did) {
  const long start = (long)seen_.size();
  for (const Taped &feature : see) seen_.push_back(feature.value.part[0]), looked_.push_back(feature.node);
  std::vector<R> raw(did.size());
  call_.act(call_.actors, (const real *)&seen_[start], (real *)raw.data());
  given_.resize(see.size());
  note(kDecided, -1, -1, start);
  for (size_t j = 0; j < did.size(); j++) did[j] = {Value{{raw[j]}}, note(kGiven, -1, -1)};
}
inline void decide(const Call &, const std::vector<Taped> &see, const std::vector<Value> &, std::vector<Taped> &did,
                   std::vector<Value> &) {
  tape->decide(see, did);
}
