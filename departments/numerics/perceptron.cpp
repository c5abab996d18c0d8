// Passes of a multilayer perceptron over samples that lie one after the other, and the learning loops around them.
//
// A tile of samples goes forward and backward through all layers while it is in the cache. Every product is of one kind:
// C[m][n] + sum over k of A(m, k) B[k][n], where a block of rows of C stays in registers. Widths are padded to vectors.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows[] = {0, 12, 8, 8, 6};  // rows of a block by its vectors: they fill the registers
#elif defined(__AVX__)
constexpr int kLanes = 8, kRows[] = {0, 8, 4, 3, 2};
#else
constexpr int kLanes = 4, kRows[] = {0, 8, 4, 3, 2};
#endif
constexpr int kTile = 144;  // samples; a multiple of the rows of all blocks and of kLanes
constexpr int kPanel = 4;  // vectors side by side in a block, at most
typedef float V __attribute__((vector_size(4 * kLanes)));
typedef float Unaligned __attribute__((vector_size(4 * kLanes), aligned(4)));

typedef int32_t I __attribute__((vector_size(4 * kLanes)));

inline V load(const float *from) { return *(const Unaligned *)from; }
inline void store(float *to, V value) { *(Unaligned *)to = value; }

// Sums of neighbours: those of `left` in the lower half, those of `right` in the upper.
inline V pairs(V left, V right) {
#if defined(__clang__)
  V sum;
  for (int i = 0; i < kLanes / 2; i++) {
    sum[i] = left[2 * i] + left[2 * i + 1];
    sum[i + kLanes / 2] = right[2 * i] + right[2 * i + 1];
  }
  return sum;
#else
  I even;
  for (int i = 0; i < kLanes; i++) even[i] = 2 * i;
  return __builtin_shuffle(left, right, even) + __builtin_shuffle(left, right, even + 1);
#endif
}

inline float total(V value) {
  for (int n = kLanes; n > 1; n /= 2) value = pairs(value, value);
  return value[0];
}

// e^x to single precision, after expf of Cephes: 2^n e^r with |r| at most ln 2 / 2.
inline V exponential(V x) {
  x = x < -87.0f ? V{} - 87.0f : x;
  x = x > 88.0f ? V{} + 88.0f : x;
  const float shift = 12582912.0f;  // 1.5 * 2^23: added, it leaves the nearest integer in the lowest bits
  const V shifted = x * 1.44269504f + shift, n = shifted - shift, r = x - n * 0.693359375f + n * 2.12194440e-4f;
  V sum = V{} + 1.9875691500e-4f;
  sum = sum * r + 1.3981999507e-3f;
  sum = sum * r + 8.3334519073e-3f;
  sum = sum * r + 4.1665795894e-2f;
  sum = sum * r + 1.6666665459e-1f;
  sum = sum * r + 5.0000001201e-1f;
  return (sum * r * r + r + 1.0f) * (V)(((I)shifted - 0x4B400000 + 127) << 23);
}

// What becomes of the sums: they are kept as they are, only where they are above 0, or only where a gate is.
enum End { kPlain, kRelu, kGated };

// How a block of C begins, and its gate; ldstart is 0 where all rows begin alike.
struct Ends {
  const float *start;
  long ldstart;
  const float *gate;  // [m][n] as C
};

template <int M, int N, End E>
inline void block(float *c, long ldc, const float *a, long am, long ak, const float *b, long ldb, long depth,
                  const Ends &ends) {
  V sum[M][N];
#pragma GCC unroll 24
  for (int m = 0; m < M; m++)
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) sum[m][n] = load(ends.start + m * ends.ldstart + n * kLanes);
  for (long k = 0; k < depth; k++) {
    V right[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) right[n] = load(b + k * ldb + n * kLanes);
#pragma GCC unroll 24
    for (int m = 0; m < M; m++) {
      const V left = V{} + a[m * am + k * ak];
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) sum[m][n] += left * right[n];
    }
  }
#pragma GCC unroll 24
  for (int m = 0; m < M; m++)
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) {
      V value = sum[m][n];
      if (E == kRelu) value = value > V{} ? value : V{};
      if (E == kGated) value = load(ends.gate + m * ldc + n * kLanes) > V{} ? value : V{};
      store(c + m * ldc + n * kLanes, value);
    }
}

template <int M, int N, End E>
void rows(float *c, long ldc, const float *a, long am, long ak, const float *b, long ldb, long count, long depth,
          const Ends &ends) {
  const auto some = [&](long m, auto block) {
    const Ends own{ends.start + m * ends.ldstart, ends.ldstart, E == kGated ? ends.gate + m * ldc : nullptr};
    block(c + m * ldc, ldc, a + m * am, am, ak, b, ldb, depth, own);
  };
  long m = 0;
  for (; m + M <= count; m += M) some(m, block<M, N, E>);
  if (M > 4)
    for (; m + 4 <= count; m += 4) some(m, block<4, N, E>);
  for (; m + 2 <= count; m += 2) some(m, block<2, N, E>);
  for (; m < count; m++) some(m, block<1, N, E>);
}

// For each panel of a width, a multiple of kLanes: each(where it begins, its vectors), Most of them or what is left.
template <int Most, class Each>
void panels(long width, Each each) {
  for (long n = 0; n < width; n += Most * kLanes) switch (std::min<long>(Most, (width - n) / kLanes)) {
      case 1: each(n, std::integral_constant<int, 1>{}); break;
      case 2: each(n, std::integral_constant<int, 2>{}); break;
      case 3: each(n, std::integral_constant<int, std::min(3, Most)>{}); break;
      default: each(n, std::integral_constant<int, Most>{});
    }
}

// C[count][width] = start + A(count, depth) B[depth][width]; width is a multiple of kLanes.
template <End E>
void product(float *c, long ldc, const float *a, long am, long ak, const float *b, long ldb, long count, long width,
             long depth, const Ends &ends) {
  panels<kPanel>(width, [&](long n, auto vectors) {
    const Ends own{ends.start + n, ends.ldstart, E == kGated ? ends.gate + n : nullptr};
    rows<kRows[vectors], vectors, E>(c + n, ldc, a, am, ak, b + n, ldb, count, depth, own);
  });
}

// Adds `count` rows of N vectors to one.
template <int N>
void add_rows(float *to, const float *from, long ld, long count) {
  V sum[N];
#pragma GCC unroll 4
  for (int n = 0; n < N; n++) sum[n] = load(to + n * kLanes);
  for (long s = 0; s < count; s++)
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) sum[n] += load(from + s * ld + n * kLanes);
#pragma GCC unroll 4
  for (int n = 0; n < N; n++) store(to + n * kLanes, sum[n]);
}

// C[count][1] = start + A[count][depth] b[depth], for rows of C and A that are ldc and depth apart; A has rows up to the
// next multiple of kLanes.
inline void products(float *c, long ldc, const float *a, const float *b, long count, long depth, float start) {
  for (long s = 0; s < count; s += kLanes) {
    V sum[kLanes];
#pragma GCC unroll 16
    for (int m = 0; m < kLanes; m++) sum[m] = load(a + (s + m) * depth) * load(b);
    for (long k = kLanes; k < depth; k += kLanes)
#pragma GCC unroll 16
      for (int m = 0; m < kLanes; m++) sum[m] += load(a + (s + m) * depth + k) * load(b + k);
#pragma GCC unroll 4
    for (int n = kLanes / 2; n; n /= 2)
#pragma GCC unroll 8
      for (int m = 0; m < n; m++) sum[m] = pairs(sum[2 * m], sum[2 * m + 1]);
    for (long m = 0; m < std::min<long>(kLanes, count - s); m++) c[(s + m) * ldc] = sum[0][m] + start;
  }
}

// Where one output learns, the gradient of unit o below it is delta[s] weight[o] if sample s opens its gate, else 0. Sums
// over samples, for its weights, and over units, for the layer below, are then of whole rows that are in or out: all
// sums of four rows are made beforehand, and one that is looked up and added stands for four products.
constexpr int kSums = 16;   // of four rows: row j is in sum i where bit j of i is set; sum 0 is 0 and stays so
constexpr int kGroup = 16;  // samples whose sums are made together
constexpr int kUnits = 64;  // units at a time: their part of what is looked up and added to stays in the cache
typedef uint16_t Shorts __attribute__((vector_size(2 * kLanes)));

// A bit for every lane above 0.
inline unsigned above_zero(V value) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)value, __m512{}, _CMP_GT_OQ);
#elif defined(__AVX__)
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)value, __m256{}, _CMP_GT_OQ));
#else
  unsigned bits = 0;
  for (int i = 0; i < kLanes; i++) bits |= (value[i] > 0) << i;
  return bits;
#endif
}

// All sums of four rows of N vectors, each row times its number; sums are `apart` vectors apart.
template <int N>
void sums_of_four(float *sums, long apart, const float *row, long ld, const float *times) {
  for (int n = 0; n < N; n++) {
    V sum[kSums]{};
    for (int j = 0; j < 4; j++) {
      const V own = load(row + j * ld + n * kLanes) * times[j];
      for (int i = 0; i < 1 << j; i++) sum[(1 << j) + i] = sum[i] + own;
    }
    for (int i = 1; i < kSums; i++) store(sums + (i * apart + n) * kLanes, sum[i]);
  }
}

// Which gates are open: a bit for each in open[s][vector], and in chosen[s / 4][o] where the sum lies of those of four
// samples that open the gate of unit o. Adds to the gradient of the bias.
inline void look_at(const float *value, long wide, const float *delta, const float *weight, long count, uint16_t *open,
                    uint16_t *chosen, float *bias_change) {
  const long vectors = wide / kLanes;
  for (long s = 0; s < count; s += 4, chosen += wide)
    for (long v = 0; v < vectors; v++) {
      I which{};
      V sum{};
      for (int j = 0; j < 4; j++) {
        const V own = load(value + (s + j) * wide + v * kLanes);
        open[(s + j) * vectors + v] = above_zero(own);
        which = own > V{} ? which | (1 << j) * kPanel * kLanes : which;
        sum = own > V{} ? sum + delta[s + j] : sum;
      }
      *(Shorts *)(chosen + v * kLanes) = __builtin_convertvector(which, Shorts);
      float *change = bias_change + v * kLanes;
      store(change, load(change) + sum * load(weight + v * kLanes));
    }
}

// Adds to the gradient of weights, [units][ld], from the sums of a group of samples.
template <int N>
void add_samples(float *change, long ld, const float *sums, const uint16_t *chosen, long wide, const float *weight,
                 long units) {
  constexpr int M = kLanes / (N == 3 ? 4 : N);
  for (long o = 0; o < units; o += M) {
    V sum[M][N]{};
    for (int q = 0; q < kGroup / 4; q++)
      for (int m = 0; m < M; m++) {
        const float *row = sums + q * kSums * kPanel * kLanes + chosen[q * wide + o + m];
        for (int n = 0; n < N; n++) sum[m][n] += load(row + n * kLanes);
      }
    for (int m = 0; m < M; m++)
      for (int n = 0; n < N; n++) {
        float *to = change + (o + m) * ld + n * kLanes;
        store(to, load(to) + sum[m][n] * weight[o + m]);
      }
  }
}

// The gradient [count][ld] of the values below, from the sums of units: gated in its turn, when all of them are in it.
template <int N>
void add_units(float *change, long ld, const float *sums, const uint16_t *open, long vectors, const float *delta,
               const float *value, long count) {
  for (long first = 0; first < vectors; first += kUnits / kLanes) {
    const long last = std::min<long>(first + kUnits / kLanes, vectors);
    for (long s = 0; s < count; s += 4) {
      V sum[4][N];
      for (int m = 0; m < 4; m++)
        for (int n = 0; n < N; n++) sum[m][n] = first ? load(change + (s + m) * ld + n * kLanes) : V{};
      const float *four = sums + first * kLanes / 4 * kSums * N * kLanes;
      for (long v = first; v < last; v++) {
        size_t bits[4];
        for (int m = 0; m < 4; m++) bits[m] = open[(s + m) * vectors + v];
        for (int q = 0; q < kLanes / 4; q++, four += kSums * N * kLanes)
          for (int m = 0; m < 4; m++) {
            const float *row = four + (bits[m] >> 4 * q) % kSums * (N * kLanes);
            for (int n = 0; n < N; n++) sum[m][n] += load(row + n * kLanes);
          }
      }
      for (int m = 0; m < 4; m++)
        for (int n = 0; n < N; n++) {
          const long at = (s + m) * ld + n * kLanes;
          if (last == vectors) sum[m][n] = load(value + at) > V{} ? sum[m][n] * delta[s + m] : V{};
          store(change + at, sum[m][n]);
        }
    }
  }
}

inline long padded(long width) { return (width + kLanes - 1) / kLanes * kLanes; }

// Memory that begins with a cache line, so that no vector lies on two.
template <class T>
struct OnLines {
  typedef T value_type;
  OnLines() = default;
  template <class U>
  OnLines(const OnLines<U> &) {}
  T *allocate(size_t count) { return (T *)::operator new(count * sizeof(T), std::align_val_t(64)); }
  void deallocate(T *place, size_t) { ::operator delete(place, std::align_val_t(64)); }
  bool operator==(const OnLines &) const { return true; }
  bool operator!=(const OnLines &) const { return false; }
};
typedef std::vector<float, OnLines<float>> Floats;

struct Layer {
  long inputs, outputs, wide_in, wide_out;
  long at;  // of its weights in the flat vector
  Floats forward, backward, bias;       // [inputs][wide_out], [wide_out][wide_in], [wide_out]
  bool turned = false;                              // whether weight_change is [inputs][wide_out], which is less
  Floats weight_change, bias_change;                // [wide_out][wide_in], [wide_out]
  Floats value, change;                 // [kTile][wide_out]
};

class Network {
 public:
  Network(const int64_t *widths, int64_t count, bool learns) {
    long at = 0;
    for (long i = 0; i + 1 < count; i++) {
      Layer layer;
      layer.inputs = widths[i], layer.outputs = widths[i + 1];
      layer.wide_in = padded(widths[i]), layer.wide_out = padded(widths[i + 1]), layer.at = at;
      at += layer.inputs * layer.outputs + layer.outputs;
      layer.forward.assign(layer.inputs * layer.wide_out, 0), layer.bias.assign(layer.wide_out, 0);
      layer.value.assign(kTile * layer.wide_out, 0);
      if (learns) {
        layer.backward.assign(layer.wide_out * layer.wide_in, 0);
        layer.turned = layer.inputs * layer.wide_out < layer.outputs * layer.wide_in;
        layer.weight_change.assign(layer.wide_out * layer.wide_in, 0);
        layer.bias_change.assign(layer.wide_out, 0);
        layer.change.assign(kTile * layer.wide_out, 0);
      }
      layers_.push_back(std::move(layer));
    }
    input_.assign(kTile * layers_[0].wide_in, 0);
    for (const Layer &layer : layers_) zeros_.resize(std::max<size_t>(zeros_.size(), layer.wide_in), 0);
    learn({0, 1, layers_.back().outputs});
  }

  // Learn some outputs only, where they are few: the gradients of the others are 0.
  void only(const int64_t *outputs, int64_t count) {
    const auto [least, most] = std::minmax_element(outputs, outputs + count);
    const bool few = std::all_of(outputs, outputs + count, [&](int64_t o) { return o == *least || o == *most; });
    if (few) learn({*least, std::max<long>(*most - *least, 1), 1 + (*most > *least)});
  }

  float *input() { return input_.data(); }  // [kTile][input_width]
  long input_width() const { return layers_[0].wide_in; }
  const float *output() const { return layers_.back().value.data(); }  // [kTile][output_width]
  float *output_change() { return layers_.back().change.data(); }
  long output_width() const { return layers_.back().wide_out; }

  void take(const float *flat) {
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

  void forward(long count) {
    const float *below = input_.data();
    long width = layers_[0].wide_in;
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
      const float *below = l ? layers_[l - 1].value.data() : input_.data();
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
  }

  // The gradient by the inputs of a tile that went backward, [count][input_width].
  void input_change(float *change, long count) const {
    const Layer &layer = layers_[0];
    product<kPlain>(change, layer.wide_in, layer.change.data(), layer.wide_out, 1, layer.backward.data(), layer.wide_in,
                    count, layer.wide_in, layer.outputs, {zeros_.data(), 0, nullptr});
  }

  void gradient(float *flat) const {
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

  // Sets the outputs that learn; where it is one, sums are looked up for the hidden layer below it if not the first.
  void learn(Some some) {
    some_ = some;
    looks_up_ = some.count == 1 && layers_.size() > 2 && !last_hidden().backward.empty();
    if (!looks_up_) return;
    Layer &layer = last_hidden();
    layer.turned = false;
    delta_.assign(kTile, 0), of_samples_.assign(kGroup / 4 * kSums * kPanel * kLanes, 0);
    of_units_.assign(layer.wide_out / 4 * kSums * layer.wide_in, 0);
    open_.assign(kTile * layer.wide_out / kLanes, 0), chosen_.assign(kTile / 4 * layer.wide_out, 0);
  }

  Layer &last_hidden() { return layers_[layers_.size() - 2]; }
  const float *weight_above() const { return &layers_.back().backward[some_.first * layers_.back().wide_in]; }

  // The backward pass of the last hidden layer where one output learns. Samples that fill the last group have no delta.
  void look_up(long count) {
    Layer &under = layers_[layers_.size() - 3], &layer = last_hidden(), &above = layers_.back();
    const long in = layer.wide_in, out = layer.wide_out;
    const float *weight = weight_above();
    for (long s = 0; s < kTile; s++) delta_[s] = s < count ? above.change[s * above.wide_out + some_.first] : 0;
    count = (count + kGroup - 1) / kGroup * kGroup;
    look_at(layer.value.data(), out, delta_.data(), weight, count, open_.data(), chosen_.data(),
            layer.bias_change.data());
    panels<kPanel>(in, [&](long n, auto vectors) {
      for (long o = 0; o < out; o += kUnits)
        for (long s = 0; s < count; s += kGroup) {
          for (long j = 0; j < kGroup; j += 4)
            sums_of_four<vectors>(&of_samples_[j / 4 * kSums * kPanel * kLanes], kPanel,
                                  &under.value[(s + j) * in + n], in, &delta_[s + j]);
          add_samples<vectors>(&layer.weight_change[o * in + n], in, of_samples_.data(), &chosen_[s / 4 * out + o], out,
                               weight + o, std::min<long>(kUnits, out - o));
        }
    });
    panels<2>(in, [&](long n, auto vectors) {
      add_units<vectors>(&under.change[n], in, &of_units_[kSums / 4 * n * out], open_.data(), out / kLanes,
                         delta_.data(), &under.value[n], count);
    });
  }

  std::vector<Layer> layers_;
  Floats input_, zeros_;
  Some some_;  // the outputs that learn
  bool looks_up_ = false;
  Floats delta_, of_samples_, of_units_;  // [kTile], sums of a group by fours, of units by panels and fours
  std::vector<uint16_t, OnLines<uint16_t>> open_, chosen_;
};

// A batch of samples and the walk over it: shuffled minibatches, one step of Adam each.
struct Fit {
  int64_t layers;          // length of widths
  const int64_t *widths;   // inputs, hidden units, outputs
  int64_t parameters_count;
  float *parameters, *first, *second, *steps;  // flat vector, Adam's moments and its count
  const float *observation;                    // [samples][inputs]
  const int64_t *order;                        // [epochs][samples], shuffled
  int64_t samples, parts, epochs;
  double learning_rate, max_grad_norm, eps;
};

struct Taken {
  const float *from;
  int64_t width;
};

class Walk {
 public:
  // `others`: what is taken of a sample beside its observation, [samples][width].
  Walk(const Fit &fit, std::vector<Taken> others)
      : fit_(fit), taken_(std::move(others)), network(fit.widths, fit.layers, true),
        gradient(padded(fit.parameters_count)) {
    taken_.push_back({fit.observation, fit.widths[0]});
  }

  // For every minibatch: each(tile of indices, how many, size of the minibatch) for its tiles, then end(its size), which
  // says whether to go on with a step.
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
    network_->input_change(change_.data(), kTogether);
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

}  // namespace

extern "C" {

// Networks that act together: one after the other writes its outputs, [outputs][kTogether].
void *actors_new() { return new std::vector<Actor>; }
void actors_free(void *actors) { delete (std::vector<Actor> *)actors; }
void actors_add(void *actors, int64_t layers, const int64_t *widths, const float *flat, const int64_t *rows) {
  ((std::vector<Actor> *)actors)->emplace_back(widths, layers, flat, rows);
}
void actors_act(void *actors, const float *seen, float *out) {
  for (Actor &actor : *(std::vector<Actor> *)actors) out = actor.act(seen, out);
}
// Those that learn: gradients by outputs go back to what was seen, [rows][kTogether], and to the networks' parameters.
void actors_learn(void *actors, int64_t actor, int64_t layers, const int64_t *widths, const float *flat) {
  ((std::vector<Actor> *)actors)->at(actor).learn(widths, layers, flat);
}
void actors_back(void *actors, const float *seen, const float *by_out, float *by_seen) {
  for (Actor &actor : *(std::vector<Actor> *)actors) by_out = actor.back(seen, by_out, by_seen);
}
void actors_gradient(void *actors, int64_t actor, float *flat) {
  ((std::vector<Actor> *)actors)->at(actor).gradient(flat);
}

// Outputs [samples][outputs] of observations [samples][inputs].
void values(int64_t layers, const int64_t *widths, const float *parameters, const float *observation, int64_t samples,
            float *out) {
  Network network(widths, layers, false);
  network.take(parameters);
  const int64_t inputs = widths[0], outputs = widths[layers - 1];
  for (int64_t start = 0; start < samples; start += kTile) {
    const int64_t count = std::min<int64_t>(kTile, samples - start);
    for (int64_t s = 0; s < count; s++)
      std::memcpy(network.input() + s * network.input_width(), observation + (start + s) * inputs,
                  inputs * sizeof(float));
    network.forward(count);
    for (int64_t s = 0; s < count; s++)
      std::memcpy(out + (start + s) * outputs, network.output() + s * network.output_width(), outputs * sizeof(float));
  }
}

// A rollout, and where its advantages go; see coordinator/critic/value_function.py.
struct Valued {
  int64_t layers;
  const int64_t *widths;
  const float *parameters, *mean, *scale;    // of the values of all streams
  const float *features, *reward;            // [periods + 1][inputs][copies], [periods][streams][copies]
  const int64_t *stream;                     // those that rewards are of
  int64_t periods, copies, streams, terminated;
  double gamma, lambda;
  float *samples, *target;              // [periods * copies][inputs], [periods * copies][streams]
  float *advantage;                     // [streams][periods][copies]
};

// Values and generalised advantages, from the last period to the first.
void advantages(const Valued *valued) {
  const Valued &v = *valued;
  Network network(v.widths, v.layers, true);
  network.only(v.stream, v.streams);
  network.take(v.parameters);
  const int64_t inputs = v.widths[0], wide = network.input_width(), out = network.output_width();
  const float gamma = (float)v.gamma, decay = (float)(v.gamma * v.lambda);
  Floats next(v.streams * v.copies), following(v.streams * v.copies);  // of the period after: value, advantage
  for (int64_t t = v.periods; t >= 0; t--)
    for (int64_t start = 0; start < v.copies; start += kTile) {
      const int64_t count = std::min<int64_t>(kTile, v.copies - start), first = t * v.copies + start;
      for (int64_t i = 0; i < inputs; i++)
        for (int64_t s = 0; s < count; s++)
          network.input()[s * wide + i] = v.features[(t * inputs + i) * v.copies + start + s];
      network.forward(count);
      for (int64_t a = 0; a < v.streams; a++) {
        const int64_t own = v.stream[a];
        float *after = &next[a * v.copies + start], *gain = &following[a * v.copies + start];
        for (int64_t s = 0; s < count; s++) {
          const float value = network.output()[s * out + own] * v.scale[own] + v.mean[own];
          if (t < v.periods) {
            const float reward = v.reward[(t * v.streams + a) * v.copies + start + s];
            gain[s] = reward + gamma * after[s] - value + decay * gain[s];
            v.advantage[(a * v.periods + t) * v.copies + start + s] = gain[s];
            v.target[(first + s) * v.streams + a] = gain[s] + value;
          }
          after[s] = t == v.periods && v.terminated ? 0 : value;
        }
      }
      for (int64_t s = 0; s < count && t < v.periods; s++)
        std::memcpy(v.samples + (first + s) * inputs, network.input() + s * wide, inputs * sizeof(float));
    }
}

// The PPO update of a Gaussian policy whose log standard deviations end the parameters; see departments/learning/ppo.py.
// told: KL divergence, share of clipped ratios, entropy, norm of the gradient; steps taken.
void improve_policy(const Fit *fit, const float *action, const float *old_log_prob, const float *advantage,
                    double clip_ratio, double entropy_coef, double target_kl, double *told) {
  const int64_t actions = fit->widths[fit->layers - 1];
  Walk walk(*fit, {{action, actions}, {old_log_prob, 1}, {advantage, 1}});
  const int64_t wide = walk.network.output_width();
  float *log_std = fit->parameters + fit->parameters_count - actions;
  float *log_std_gradient = walk.gradient.data() + fit->parameters_count - actions;
  const double half_log_two_pi = 0.91893853320467274178;
  // Of a tile: per action (action - mean) / standard deviation, then its gradient; old log probability, advantage.
  Floats standard(actions * kTile), old(kTile), gain(kTile), scale(actions);
  std::vector<double> moved(actions);
  double divergence = 0, clipped = 0;
  const float low = 1 - (float)clip_ratio, high = 1 + (float)clip_ratio;
  const auto each = [&](const int64_t *index, int64_t count, int64_t size) {
    const float *mean = walk.network.output();
    float constant = 0;
    for (int64_t k = 0; k < actions; k++) {
      scale[k] = std::exp(-log_std[k]);
      constant += log_std[k] + (float)half_log_two_pi;
    }
    for (int64_t s = 0; s < count; s++) {
      old[s] = old_log_prob[index[s]], gain[s] = advantage[index[s]];
      for (int64_t k = 0; k < actions; k++)
        standard[k * kTile + s] = (action[index[s] * actions + k] - mean[s * wide + k]) * scale[k];
    }
    for (int64_t s = count; s % kLanes; s++) {  // fills the last vector with what counts for nothing
      old[s] = -constant, gain[s] = 0;
      for (int64_t k = 0; k < actions; k++) standard[k * kTile + s] = 0;
    }
    V divergences{}, outside{};
    for (int64_t s = 0; s < count; s += kLanes) {
      V density = V{} - constant;
      for (int64_t k = 0; k < actions; k++) {
        const V own = load(&standard[k * kTile + s]);
        density -= 0.5f * own * own;
      }
      const V log_ratio = density - load(&old[s]), ratio = exponential(log_ratio), gains = load(&gain[s]);
      divergences += ratio - 1.0f - log_ratio;
      outside += ratio < low ? V{} + 1.0f : ratio > high ? V{} + 1.0f : V{};
      const V kept = gains > V{} ? (ratio <= high ? ratio : V{}) : (ratio >= low ? ratio : V{});
      const V weight = kept * gains * (-1.0f / (float)size);
      for (int64_t k = 0; k < actions; k++) {
        const V own = load(&standard[k * kTile + s]);
        moved[k] += total(weight * (own * own - 1.0f));
        store(&standard[k * kTile + s], own * weight * scale[k]);
      }
    }
    divergence += total(divergences), clipped += total(outside);
    float *change = walk.network.output_change();
    for (int64_t s = 0; s < count; s++)
      for (int64_t k = 0; k < actions; k++) change[s * wide + k] = standard[k * kTile + s];
  };
  const auto end = [&](int64_t size) {
    divergence /= size;
    if (divergence > target_kl) return false;
    double entropy = 0;
    for (int64_t k = 0; k < actions; k++) {
      log_std_gradient[k] = (float)(moved[k] - entropy_coef), moved[k] = 0;
      entropy += log_std[k] + 0.5 + half_log_two_pi;
    }
    told[0] = divergence, told[1] += clipped / size, told[2] = entropy, told[3] += walk.norm(), told[4] += 1;
    divergence = clipped = 0;
    return true;
  };
  walk.go(each, end);
}

// Fits some outputs to targets [samples][streams] in squared error, a loss of coefficient times its mean.
// told: sum of losses, first loss, steps taken.
// `before` [samples][streams] and `reach` [streams]: outputs may move no further from those; null: any way.
void fit_values(const Fit *fit, const float *target, int64_t streams, const int64_t *stream, double coefficient,
                const float *before, const float *reach, double *told) {
  Walk walk(*fit, {{target, streams}});
  walk.network.only(stream, streams);
  const int64_t wide = walk.network.output_width();
  Floats aim(kTile * wide), learned(wide), times(wide);  // targets of a tile; which outputs learn, and how many times
  for (int64_t k = 0; k < streams; k++) learned[stream[k]] = 1, times[stream[k]] += 1;
  double loss = 0;
  walk.go(
      [&](const int64_t *index, int64_t count, int64_t size) {
        float *change = walk.network.output_change();
        const float *value = walk.network.output();
        const float weight = (float)(2 * coefficient / ((double)size * streams));
        for (int64_t s = 0; s < count; s++)
          for (int64_t k = 0; k < streams; k++) {
            float goal = target[index[s] * streams + k];
            if (before) {
              const float out = value[s * wide + stream[k]], old = before[index[s] * streams + k];
              const float error = std::clamp(out, old - reach[k], old + reach[k]) - goal;
              if (std::abs(error) > std::abs(out - goal)) loss += error * error, goal = out;  // nothing pulls at it
            }
            aim[s * wide + stream[k]] = goal;
          }
        V squares{};
        for (int64_t s = 0; s < count; s++)
          for (int64_t o = 0; o < wide; o += kLanes) {
            const V error = (load(value + s * wide + o) - load(&aim[s * wide + o])) * load(&learned[o]);
            squares += error * error * load(&times[o]);
            store(change + s * wide + o, error * weight);
          }
        loss += total(squares);
      },
      [&](int64_t size) {
        loss /= (double)size * streams;
        if (!told[2]) told[1] = loss;
        told[0] += loss, told[2] += 1, loss = 0;
        return true;
      });
}
}
