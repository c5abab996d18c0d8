// Vectors of single precision, as wide as the processor has them.
#pragma once
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

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows[] = {0, 12, 8, 8, 6};  // rows of a block by its vectors: they fill the registers
#elif defined(__AVX__)
constexpr int kLanes = 8, kRows[] = {0, 8, 4, 3, 2};
#else
constexpr int kLanes = 4, kRows[] = {0, 8, 4, 3, 2};
#endif
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

// Numbers of `left` and `right` in turn, of their lower halves, or the upper ones.
inline V zipped(V left, V right, bool upper) {
#if defined(__clang__)
  V both;
  for (int i = 0; i < kLanes; i++) both[i] = (i % 2 ? right : left)[i / 2 + upper * kLanes / 2];
  return both;
#else
  I place;
  for (int i = 0; i < kLanes; i++) place[i] = i / 2 + i % 2 * kLanes;
  return __builtin_shuffle(left, right, upper ? place + kLanes / 2 : place);
#endif
}

// Rows of a square become its columns.
inline void transpose(V *rows) {
  for (int turn = 1; turn < kLanes; turn *= 2) {
    V before[kLanes];
    for (int i = 0; i < kLanes; i++) before[i] = rows[i];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; i++) rows[i] = zipped(before[i / 2], before[i / 2 + kLanes / 2], i % 2);
  }
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

// The natural logarithm of a normal number above 0, after logf of Cephes: n ln 2 + ln m with m between sqrt(1/2) and
// sqrt(2).
inline V logarithm(V x) {
  const I bits = (I)x;
  V n = __builtin_convertvector((bits >> 23) - 126, V), m = (V)((bits & 0x007FFFFF) | 0x3F000000);
  const I low = m < 0.707106781f;
  n = low ? n - 1.0f : n, m = low ? m + m - 1.0f : m - 1.0f;
  V sum = V{} + 7.0376836292e-2f;
  sum = sum * m - 1.1514610310e-1f;
  sum = sum * m + 1.1676998740e-1f;
  sum = sum * m - 1.2420140846e-1f;
  sum = sum * m + 1.4249322787e-1f;
  sum = sum * m - 1.6668057665e-1f;
  sum = sum * m + 2.0000714765e-1f;
  sum = sum * m - 2.4999993993e-1f;
  sum = sum * m + 3.3333331174e-1f;
  const V square = m * m;
  return m + (sum * m * square - n * 2.12194440e-4f - square * 0.5f) + n * 0.693359375f;
}

inline V sigmoid(V x) { return 1.0f / (exponential(-x) + 1.0f); }

// Near 0 after tanhf of Cephes, so that small numbers keep all their digits.
inline V hyperbolic_tangent(V x) {
  const V square = x * x;
  V sum = V{} - 5.70498872745e-3f;
  sum = sum * square + 2.06390887954e-2f;
  sum = sum * square - 5.37397155531e-2f;
  sum = sum * square + 1.33314422036e-1f;
  sum = sum * square - 3.33332819422e-1f;
  return square < 0.390625f ? sum * square * x + x : 1.0f - 2.0f / (exponential(x + x) + 1.0f);
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
