"""The C++ around a firm's code: vectors of copies, and the function `play` that steps them; see `straight_line`."""

from __future__ import annotations

FRAME = """\
#include <cstring>
typedef {real} real;
enum {{ lanes = {lanes} }};
typedef real V __attribute__((vector_size({bytes})));
typedef {whole} M __attribute__((vector_size({bytes})));
typedef double D __attribute__((vector_size(8 * lanes)));
static inline V load(const real *from, long count) {{
  V value = {{}};
  if (count == lanes) std::memcpy(&value, from, sizeof value);
  else std::memcpy(&value, from, count * sizeof(real));
  return value;
}}
static inline void store(real *to, V value, long count) {{ std::memcpy(to, &value, count * sizeof(real)); }}
static inline V least(V a, V b) {{ return a < b ? a : b; }}
static inline V most(V a, V b) {{ return a > b ? a : b; }}
static inline V rounded(V x) {{ V big = V{{}} + (real){big}; return (x + big) - big; }}  // half to even; 0 <= x < 2^22
static inline D wide(V x) {{ return __builtin_convertvector(x, D); }}
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
