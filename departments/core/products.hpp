// Products of matrices, all of one kind: C[m][n] + sum over k of A(m, k) B[k][n], where a block of rows of C stays in
// registers. Widths are padded to vectors.
#pragma once
#include "vectors.hpp"

constexpr int kTile = 96;         // samples; a multiple of the rows of all blocks and of kLanes
constexpr int kMost = 2 * kTile;  // where layers are narrow
constexpr int kPanel = 4;         // vectors side by side in a block, at most

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

// C[count][1] = start + A[count][depth] b[depth], for rows of C and A that are ldc and depth apart; A has rows up to
// the next multiple of kLanes.
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
