"""Numbers that remember what they were made of: with them a firm's code finds the gradient of its cost.

Source: reverse accumulation, as in Griewank & Walther (2008), Evaluating derivatives, ch. 3. Sixteen copies share a
tape of all periods. Where two branches meet the gradient is that of `environment.events` in PyTorch: what is served is
what is wanted where stock suffices exactly, what is cut off passes at the bound, rounding passes straight through, and
who is served first is a ramp in the difference of positions.
"""

from __future__ import annotations

TAPED = """\
struct V;
struct Tape {
  enum Kind { kGiven, kSum, kDifference, kTimes, kPicked, kBounded, kDecided };
  struct Node {
    Kind kind;
    int a, b;      // what it was made of; -1: of what has no gradient
    long with;     // place of a factor, of a mask or of what was seen
  };
  std::vector<Node> nodes;
  std::vector<R> factors, seen, change;  // `change`: of the cost by each node
  std::vector<int> looked, costs;        // nodes that were seen; nodes whose sum is the cost
  long features = 0;
  real bound, share;  // of a unit ordered, at most; of a period and copy in the mean cost
  long count = lanes;
  Tape(real bound, real share) : bound(bound), share(share) {}

  void begin(long copies) {
    nodes.clear(), factors.clear(), seen.clear(), looked.clear(), costs.clear();
    count = copies;
  }
  __attribute__((noinline)) int note(Kind kind, int a, int b, long with) {
    nodes.push_back({kind, a, b, with});
    return nodes.size() - 1;
  }
  __attribute__((noinline)) int note(Kind kind, int a, int b, R with) {
    factors.push_back(with);
    return note(kind, a, b, (long)factors.size() - 1);
  }
  void decide(void *actors, void (*act)(void *, const real *, real *), const V *see, long features, V *did, long outs);
  void back(void *actors, void (*act_back)(void *, const real *, const real *, real *)) {
    R whole = {}, given[features + 1];
    for (int i = 0; i < count; i++) whole[i] = share;
    change.assign(nodes.size(), R{});
    for (int node : costs) change[node] += whole;
    for (long i = (long)nodes.size() - 1; i >= 0; i--) {
      const Node node = nodes[i];
      const R mine = change[i];
      switch (node.kind) {
        case kGiven: break;
        case kSum: change[node.a] += mine, change[node.b] += mine; break;
        case kDifference:
          if (node.a >= 0) change[node.a] += mine;
          change[node.b] -= mine;
          break;
        case kTimes: change[node.a] += mine * factors[node.with]; break;
        case kPicked: {
          const M where = (M)factors[node.with];
          if (node.a >= 0) change[node.a] += where ? mine : R{};
          if (node.b >= 0) change[node.b] += where ? R{} : mine;
          break;
        }
        case kBounded: change[node.a] += within(mine, -bound, bound); break;
        case kDecided:
          std::memset(given, 0, sizeof given);
          act_back(actors, (const real *)&seen[node.with], (const real *)&change[i + 1], (real *)given);
          for (long g = 0; g < features; g++)
            if (looked[node.with + g] >= 0) change[looked[node.with + g]] += given[g];
      }
    }
  }
};
static thread_local Tape *tape __attribute__((tls_model("initial-exec")));

struct V {
  R value = {};
  int node = -1;
  V() = default;
  V(R value, int node = -1) : value(value), node(node) {}
  V(real value) : value(R{} + value) {}
};
static inline V operator+(V a, V b) {
  const int node = a.node < 0 ? b.node : b.node < 0 ? a.node : tape->note(Tape::kSum, a.node, b.node, 0L);
  return {a.value + b.value, node};
}
static inline V operator-(V a, V b) {
  return {a.value - b.value, b.node < 0 ? a.node : tape->note(Tape::kDifference, a.node, b.node, 0L)};
}
static inline V operator*(V a, V b) {  // one of them is given
  if (a.node < 0 && b.node < 0) return {a.value * b.value};
  return {a.value * b.value, a.node < 0 ? tape->note(Tape::kTimes, b.node, -1, a.value)
                                        : tape->note(Tape::kTimes, a.node, -1, b.value)};
}
static inline V &operator+=(V &a, V b) { return a = a + b; }
static inline V &operator-=(V &a, V b) { return a = a - b; }
static inline M operator<=(V a, V b) { return a.value <= b.value; }
static inline M operator==(V a, V b) { return a.value == b.value; }
static inline M operator>(V a, V b) { return a.value > b.value; }
static inline V pick(M where, V a, V b) {
  const R value = where ? a.value : b.value;
  return {value, a.node < 0 && b.node < 0 ? -1 : tape->note(Tape::kPicked, a.node, b.node, (R)where)};
}
static inline V least(V a, V b) { return pick(a.value < b.value, a, b); }
static inline V most(V a, V b) { return pick(a.value >= b.value, a, b); }
static inline V served(V left, V want) { return pick(left.value < want.value, most(left, V()), want); }
// Backwards the step in a gap of positions is a ramp; `kept` is what it lets through of some units.
static inline V ramp(V kept, V gap, R units, real reach) {
  const R near = (gap.value < reach) & (gap.value > -reach) ? units : R{};
  return {kept.value, (kept + gap * V(near * (real)(0.5 / reach))).node};
}
static inline V before(V gap, V units, real reach) {
  return ramp(pick(gap.value <= 0, units, V()), gap, -units.value, reach);
}
static inline V behind(V gap, V units, real reach) {
  return ramp(pick(gap.value <= 0, V(), units), gap, units.value, reach);
}
static inline V within(V x, real low, real high) {
  const V kept = pick((x.value >= low) & (x.value <= high), x, V());
  return {within(x.value, low, high), kept.node};
}
static inline V accepted(V wish, real high) {
  const V kept = within(wish, 0, high);
  return {rounded(kept.value), kept.node < 0 ? -1 : tape->note(Tape::kBounded, kept.node, -1, 0L)};
}
static inline D wide(V x) { return wide(x.value); }
static inline void store(real *to, V x, long count) { store(to, x.value, count); }
static inline V paid(V x) {
  if (x.node >= 0) tape->costs.push_back(x.node);
  return x;
}
static inline void arrive(V *ring, long edges, long slots, long t, const long long *time, V units, long count) {
  for (long slot = 1; slot <= slots; slot++) {
    M where = {};
    bool any = false;
    for (int j = 0; j < count; j++)
      if (time[j] == slot) where[j] = -1, any = true;
    if (any) ring[(t + slot) % slots * edges] += pick(where, units, V());
  }
}
void Tape::decide(void *actors, void (*act)(void *, const real *, real *), const V *see, long features, V *did,
                  long outs) {
  R raw[outs + 1];
  const long start = seen.size();
  this->features = features;
  for (long g = 0; g < features; g++) seen.push_back(see[g].value), looked.push_back(see[g].node);
  act(actors, (const real *)&seen[start], (real *)raw);
  note(kDecided, -1, -1, start);
  for (long j = 0; j < outs; j++) did[j] = V(raw[j], note(kGiven, -1, -1, 0L));
}"""
