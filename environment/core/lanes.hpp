// Copies of the firm side by side in a vector, and what is done to all of them at once.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

typedef REAL real;  // float or double, as this library is built for
constexpr long kBytes = 64, kLanes = kBytes / sizeof(real);
typedef real R __attribute__((vector_size(kBytes)));
typedef std::conditional_t<sizeof(real) == 4, int32_t, int64_t> whole;
typedef whole M __attribute__((vector_size(kBytes)));  // of truth values: all bits or none
typedef double D __attribute__((vector_size(kLanes * sizeof(double))));

// `count` numbers and zeros, in what they are stored as.
template <class T>
inline auto load(const T *from, long count) {
  typedef T Stored __attribute__((vector_size(kLanes * sizeof(T))));
  Stored value{};
  if (count == kLanes) std::memcpy(&value, from, sizeof value);
  else std::memcpy(&value, from, count * sizeof(T));
  return value;
}
template <class T>
inline M load_whole(const T *from, long count) {
  return __builtin_convertvector(load(from, count), M);
}
inline void store(real *to, R value, long count) {
  if (count == kLanes) std::memcpy(to, &value, sizeof value);
  else std::memcpy(to, &value, count * sizeof(real));
}

inline R all(real x) { return R{} + x; }
inline R pick(M where, R a, R b) { return where ? a : b; }
inline R least(R a, R b) { return a < b ? a : b; }
inline R most(R a, R b) { return a > b ? a : b; }
inline R within(R x, real low, real high) { return least(most(x, all(low)), all(high)); }
inline R rounded(R x) {  // half to even, for 0 <= x < 2^22
  const R shift = all(sizeof(real) == 4 ? 0x1.8p23 : 0x1.8p52);
  return (x + shift) - shift;
}
inline D wide(R x) { return __builtin_convertvector(x, D); }

// What differs where values are differentiated; see tape.hpp.
inline R accepted(R wish, real high) { return rounded(within(wish, 0, high)); }  // an order, as the world accepts it
inline R served(R left, R want) { return least(most(left, R{}), want); }         // of what others leave
inline R before(R gap, R units, real) { return pick(gap <= 0, units, R{}); }     // units of who comes first, if so
inline R behind(R gap, R units, real) { return pick(gap <= 0, R{}, units); }
inline R paid(R x) { return x; }                                                 // a part of the cost
inline void join(R &slot, M where, R units) { slot += pick(where, units, R{}); }
