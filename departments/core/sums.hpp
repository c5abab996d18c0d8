// Gradients below one output that learns, from sums that are looked up.
#pragma once
#include "products.hpp"

// Where one output learns, the gradient of unit o below it is delta[s] weight[o] if sample s opens its gate, else 0.
// Sums over samples, for its weights, and over units, for the layer below, are then of whole rows that are in or out:
// all sums of four rows are made beforehand, and one that is looked up and added stands for four products.
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
