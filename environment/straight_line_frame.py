"""The C++ around a firm's code: vectors of copies, and the function `play` that steps them; see `straight_line`."""

from __future__ import annotations

FRAME = """\
#include <cstring>
{headers}
typedef {real} real;
enum {{ lanes = {lanes} }};
typedef real R __attribute__((vector_size({bytes})));
typedef {whole} M __attribute__((vector_size({bytes})));
typedef double D __attribute__((vector_size(8 * lanes)));
static inline R load(const real *from, long count) {{
  R value = {{}};
  if (count == lanes) std::memcpy(&value, from, sizeof value);
  else std::memcpy(&value, from, count * sizeof(real));
  return value;
}}
static inline void store(real *to, R value, long count) {{ std::memcpy(to, &value, count * sizeof(real)); }}
static inline R least(R a, R b) {{ return a < b ? a : b; }}
static inline R most(R a, R b) {{ return a > b ? a : b; }}
static inline R pick(M where, R a, R b) {{ return where ? a : b; }}
static inline R within(R x, real low, real high) {{ return least(most(x, R{{}} + low), R{{}} + high); }}
static inline R rounded(R x) {{ R big = R{{}} + (real){big}; return (x + big) - big; }}  // half to even; 0 <= x < 2^22
static inline R accepted(R wish, real high) {{ return rounded(within(wish, 0, high)); }}
static inline D wide(R x) {{ return __builtin_convertvector(x, D); }}
{values}
extern "C" void play(long copies, long periods, long counted, long shared, void **with) {{
  real *on_hand = (real *)with[0], *pipeline = (real *)with[1], *owed = (real *)with[2], *position = (real *)with[3];
  const real *demand = (const real *)with[4], *supplier = (const real *)with[5];
  const long long *lead_time = (const long long *)with[6];
  const real *factor = (const real *)with[7], *orders = (const real *)with[8];
  double *total = (double *)with[9], *sums = (double *)with[10];
{acting}
  const V zero = {{}};
  for (long e = 0; e < copies; e += lanes) {{
    const long count = copies - e < lanes ? copies - e : lanes;
{begin}
{load}
    D cost[{points}] = {{}}, tally[{tally}] = {{}};
    for (long t = 0; t < periods; t++) {{
{period}
      if (t < counted) continue;
{cost}
{kept}
      if (!sums) continue;
{measures}
    }}
{last}
{learn}
{store}
    for (int n = 0; n < {points}; n++)
      for (int i = 0; i < count; i++) total[n * copies + e + i] += cost[n][i];
    if (sums)
      for (int m = 0; m < {tally}; m++)
        for (int i = 0; i < count; i++) sums[m] += tally[m][i];
  }}
}}
"""


ACTING = [  # what `play` is given where networks decide
    "const real *centre = (const real *)with[11], *factor_of = (const real *)with[12];",
    "real *features = (real *)with[13], *costs = (real *)with[14];",
    "const real *noise = (const real *)with[15]; real *actions = (real *)with[16];",
    "const long long deciding = *(const long long *)with[17], *place = (const long long *)with[18];",
    "const real *unit = (const real *)with[19]; const long long *residual = (const long long *)with[20];",
    "void *actors = with[21]; void (*act)(void *, const real *, real *);",
    "std::memcpy(&act, &with[22], sizeof act);",
]

LEARNING = [  # and where the cost is differentiated with respect to what they are
    *(line for line in ACTING if not line.startswith(("real *features", "const real *noise"))),
    "void (*back)(void *, const real *, const real *, real *);",
    "std::memcpy(&back, &with[23], sizeof back);",
    "const real *bounds = (const real *)with[24];",
    "Tape own(bounds[0], bounds[1]);",
    "tape = &own;",
]

PLAIN = """\
typedef R V;
static inline V served(V left, V want) { return least(most(left, V{}), want); }
static inline V before(V gap, V units, real) { return pick(gap <= 0, units, V{}); }
static inline V behind(V gap, V units, real) { return pick(gap <= 0, V{}, units); }
static inline V paid(V x) { return x; }
static inline void arrive(V *ring, long edges, long slots, long t, const long long *time, V units, long count) {
  for (int j = 0; j < count; j++) ring[(t + time[j]) % slots * edges][j] += units[j];
}"""
