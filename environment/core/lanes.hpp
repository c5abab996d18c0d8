// Copies of the firm side by side, and what is done to all of them at once.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

typedef REAL real;  // float or double, as this library is built for
typedef std::conditional_t<sizeof(real) == 4, int32_t, int64_t> whole;
constexpr long kBytes = 64, kLanes = kBytes / sizeof(real);
constexpr real kWhole = 65536;  // parts of a chance
typedef real R __attribute__((vector_size(kBytes)));
typedef whole M __attribute__((vector_size(kBytes)));  // of truth values: all bits or none
typedef int64_t Q __attribute__((vector_size(kLanes * sizeof(int64_t))));
typedef double D __attribute__((vector_size(kLanes * sizeof(double))));

// Some vectors side by side: the processor works on one while another waits for its last result.
template <class T, long N>
struct Parts {
  static constexpr long kCopies = N * kLanes;
  T part[N];
  auto &operator[](long copy) { return part[copy / kLanes][copy % kLanes]; }
};
template <long N>
using Reals = Parts<R, N>;
template <long N>
using Truths = Parts<M, N>;

#define EACH _Pragma("GCC unroll 4") for (long i = 0; i < N; i++)
#define ELEMENTWISE(Result, op)                                       \
  template <class T, long N>                                          \
  inline Parts<Result, N> operator op(Parts<T, N> a, Parts<T, N> b) { \
    Parts<Result, N> result;                                          \
    EACH result.part[i] = a.part[i] op b.part[i];                     \
    return result;                                                    \
  }
ELEMENTWISE(T, +)
ELEMENTWISE(T, -)
ELEMENTWISE(T, *)
ELEMENTWISE(T, /)
ELEMENTWISE(T, &)
ELEMENTWISE(M, <)
ELEMENTWISE(M, >)
ELEMENTWISE(M, <=)
ELEMENTWISE(M, >=)
ELEMENTWISE(M, ==)

template <class T, long N>
inline Parts<T, N> &operator+=(Parts<T, N> &a, const Parts<T, N> &b) {
  EACH a.part[i] += b.part[i];
  return a;
}
template <class T, long N>
inline Parts<T, N> &operator-=(Parts<T, N> &a, const Parts<T, N> &b) {
  EACH a.part[i] -= b.part[i];
  return a;
}
// Adds up in double precision.
template <long N>
inline void gather(Parts<D, N> &sum, const Reals<N> &x) {
  EACH sum.part[i] += __builtin_convertvector(x.part[i], D);
}
template <class T, class X>
inline T all(X x) {  // the same number in all copies
  T result;
  for (auto &part : result.part) part = std::decay_t<decltype(part)>{} + (std::decay_t<decltype(part[0])>)x;
  return result;
}
template <long N>
inline Reals<N> pick(Truths<N> where, Reals<N> a, Reals<N> b) {
  Reals<N> result;
  EACH result.part[i] = where.part[i] ? a.part[i] : b.part[i];
  return result;
}
template <long N>
inline Truths<N> pick(Truths<N> where, Truths<N> a, Truths<N> b) {
  Truths<N> result;
  EACH result.part[i] = where.part[i] ? a.part[i] : b.part[i];
  return result;
}
template <long N>
inline Reals<N> plain(Reals<N> x) {
  return x;
}
template <long N>
inline Reals<N> least(Reals<N> a, Reals<N> b) {
  return pick(a < b, a, b);
}
template <long N>
inline Reals<N> most(Reals<N> a, Reals<N> b) {
  return pick(a > b, a, b);
}
template <long N>
inline Reals<N> within(Reals<N> x, real low, real high) {
  return least(most(x, all<Reals<N>>(low)), all<Reals<N>>(high));
}
template <long N>
inline Reals<N> rounded(Reals<N> x) {  // half to even, for 0 <= x < 2^22
  const auto shift = all<Reals<N>>(sizeof(real) == 4 ? 0x1.8p23f : 0x1.8p52);
  return (x + shift) - shift;
}
template <long N>
inline Parts<D, N> wide(Reals<N> x) {
  Parts<D, N> result;
  EACH result.part[i] = __builtin_convertvector(x.part[i], D);
  return result;
}

template <long N>
inline Reals<N> narrow(Parts<D, N> x) {
  Reals<N> result;
  EACH result.part[i] = __builtin_convertvector(x.part[i], R);
  return result;
}

// The first `count` numbers of an array and zeros, whatever they are stored as; and back.
template <class P, class T>
inline P load(const T *from, long count) {
  typedef T Stored __attribute__((vector_size(kLanes * sizeof(T))));
  P result;
  if (count >= P::kCopies) {
    for (auto &part : result.part) {
      Stored value;
      std::memcpy(&value, from, sizeof value);
      part = __builtin_convertvector(value, std::decay_t<decltype(part)>);
      from += kLanes;
    }
    return result;
  }
  for (auto &part : result.part) {
    Stored value{};
    if (count > 0) std::memcpy(&value, from, std::min(count, kLanes) * sizeof(T));
    part = __builtin_convertvector(value, std::decay_t<decltype(part)>);
    from += kLanes, count -= kLanes;
  }
  return result;
}
template <long N>
inline void store(real *to, Reals<N> value, long count) {
  for (const R &part : value.part) {
    if (count >= kLanes) std::memcpy(to, &part, sizeof part);
    else if (count > 0) std::memcpy(to, &part, count * sizeof(real));
    to += kLanes, count -= kLanes;
  }
}

// What differs where values are differentiated; see tape.hpp. An order, as the world accepts it; what is served of what
// others leave; units of who comes first, by the gap of positions; a part of the cost; what arrives in a slot.
template <long N>
inline Reals<N> accepted(Reals<N> wish, real high) {
  return rounded(within(wish, 0, high));
}
template <long N>
inline Reals<N> inward(Reals<N> wish, real high) {
  return within(wish, 0, high);
}
// Precedence as the world accepts it.
template <long N>
inline Reals<N> preceding(Reals<N> wish, real most) {
  return rounded(within(wish, -most, most));
}
// An order in whole packs, at least the smallest order; all bounds are packs, too.
template <long N>
inline Reals<N> accepted(Reals<N> wish, real high, real multiple, real least) {
  const Reals<N> units = accepted(wish, high), pack = all<Reals<N>>(multiple), packs = units / pack;
  Reals<N> whole = rounded(packs);
  whole = pick(whole < packs, whole + all<Reals<N>>(1), whole);
  return pick(units > Reals<N>{}, most(whole * pack, all<Reals<N>>(least)), units);
}
template <long N>
inline double plain(Reals<N> x, long copy) {  // of one copy
  return x[copy];
}
template <long N>
inline Reals<N> served(Reals<N> left, Reals<N> want) {
  return least(most(left, Reals<N>{}), want);
}
// A share of whole units, a part of a unit rounded up with the chance that it is; see `LostShare`.
template <long N>
inline Reals<N> share_of(Reals<N> units, real parts, Truths<N> number) {
  Reals<N> result;
  EACH {
    const D sum = __builtin_convertvector(units.part[i], D) * (double)parts +
                  __builtin_convertvector(number.part[i], D) + (double)kWhole / 2;
    const D share = sum * (1.0 / kWhole), cut = __builtin_convertvector(__builtin_convertvector(share, Q), D);
    result.part[i] = __builtin_convertvector(cut > share ? cut - 1 : cut, R);  // rounded down, wishes below 0 too
  }
  return result;
}
// The whole units of what is left for those who want `sum` of a total.
template <long N>
inline Parts<D, N> portion(Parts<D, N> left, Parts<D, N> sum, Parts<D, N> total) {
  Parts<D, N> result;
  EACH {
    const auto short_of = left.part[i] < total.part[i];
    const D part = left.part[i] * sum.part[i] / (short_of ? total.part[i] : D{} + 1);
    const D whole = __builtin_convertvector(__builtin_convertvector(short_of ? part : D{}, Q), D);
    result.part[i] = short_of ? whole : sum.part[i];
  }
  return result;
}
template <long N>
inline Reals<N> paid(Reals<N> x) {
  return x;
}
template <long N>
inline void join(Reals<N> &sum, Truths<N> where, Reals<N> units) {
  sum = pick(where, sum + units, sum);
}
template <long N>
inline void join_before(Reals<N> &sum, Reals<N> gap, Reals<N> units, real) {
  join(sum, gap <= Reals<N>{}, units);
}
template <long N>
inline void join_behind(Reals<N> &sum, Reals<N> gap, Reals<N> units, real) {
  join(sum, gap > Reals<N>{}, units);
}
