// Numbers that are drawn as PyTorch draws them, and looked up in tables of quantiles; see environment/sampling.py.
#include <algorithm>
#include <cstdint>
#include <cstring>

// The generator MT19937 of Matsumoto & Nishimura (1998), as PyTorch goes through it.
constexpr int kState = 624, kMiddle = 397;
static inline uint32_t twisted(uint32_t one, uint32_t next) {
  return ((one & 0x80000000) | (next & 0x7fffffff)) >> 1 ^ ((next & 1) * 0x9908b0df);
}
static void twist(uint32_t *state) {  // what comes next; nothing that a loop writes is near what it reads
#pragma GCC ivdep
  for (int i = 0; i < kState - kMiddle; i++) state[i] = state[i + kMiddle] ^ twisted(state[i], state[i + 1]);
#pragma GCC ivdep
  for (int i = kState - kMiddle; i < kState - 1; i++)
    state[i] = state[i + kMiddle - kState] ^ twisted(state[i], state[i + 1]);
  state[kState - 1] = state[kMiddle - 1] ^ twisted(state[kState - 1], state[0]);
}
static inline uint32_t tempered(uint32_t y) {
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680;
  y ^= y << 15 & 0xefc60000;
  return y ^ y >> 18;
}

// out[t][law][e] = table[offset[law] + lanes[t][law][e]], for rows of `copies`.
template <class Out, class T>
static void look_up(const T *table, const int32_t *offset, const int16_t *lanes, int64_t periods, int64_t laws,
                    int64_t copies, void *to) {
  Out *out = (Out *)to;
  for (int64_t t = 0; t < periods; t++)
    for (int64_t law = 0; law < laws; law++, lanes += copies, out += copies) {
      const T *own = table + offset[law];
      for (int64_t e = 0; e < copies; e++) out[e] = own[lanes[e]];
    }
}
// Tables of bytes take the least room in the processor's caches.
template <class Out>
static void look_up(int64_t bytes, const void *table, const int32_t *offset, const int16_t *lanes, int64_t periods,
                    int64_t laws, int64_t copies, void *out) {
  if (bytes) look_up<Out>((const uint8_t *)table, offset, lanes, periods, laws, copies, out);
  else look_up<Out>((const Out *)table, offset, lanes, periods, laws, copies, out);
}

extern "C" {
// `count` words of 64 bits, the upper half of each drawn first. Of the state's 624 numbers `used` are gone before; the
// answer is how many are gone after.
int64_t words(uint32_t *state, int64_t used, int64_t count, uint32_t *out) {
  for (int64_t place = 0, many; place < 2 * count; place += many, used += many) {
    if (used == kState) twist(state), used = 0;
    many = std::min(2 * count - place, kState - used) & ~1;
    if (place % 2 || many == 0) {
      out[place ^ 1] = tempered(state[used]), many = 1;
      continue;
    }
    for (int64_t i = 0; i < many; i += 2) {
      out[place + i + 1] = tempered(state[used + i]);
      out[place + i] = tempered(state[used + i + 1]);
    }
  }
  return used;
}
// out[t][row][e]: which of count[row] equally likely ones a number stands for.
void choose(const int32_t *count, const int16_t *lanes, int64_t periods, int64_t rows, int64_t copies, int16_t *out) {
  for (int64_t t = 0; t < periods; t++)
    for (int64_t row = 0; row < rows; row++, lanes += copies, out += copies)
      for (int64_t e = 0; e < copies; e++) out[e] = (int16_t)(((int32_t)lanes[e] + 32768) * count[row] >> 16);
}
void look_up_float32(int64_t bytes, const void *table, const int32_t *offset, const int16_t *lanes, int64_t periods,
                     int64_t laws, int64_t copies, void *out) {
  look_up<float>(bytes, table, offset, lanes, periods, laws, copies, out);
}
void look_up_float64(int64_t bytes, const void *table, const int32_t *offset, const int16_t *lanes, int64_t periods,
                     int64_t laws, int64_t copies, void *out) {
  look_up<double>(bytes, table, offset, lanes, periods, laws, copies, out);
}
void look_up_int16(int64_t bytes, const void *table, const int32_t *offset, const int16_t *lanes, int64_t periods,
                   int64_t laws, int64_t copies, void *out) {
  look_up<int16_t>(bytes, table, offset, lanes, periods, laws, copies, out);
}
// The same of tables with few values, steps [laws][1 + most]: the lowest value, and numbers that a unit more is behind;
// in their order as unsigned ones, less half of all.
void count(const int16_t *steps, int64_t most, const int16_t *lanes, int64_t periods, int64_t laws, int64_t copies,
           int16_t *out) {
  typedef int16_t Lanes __attribute__((vector_size(64)));
  constexpr int64_t kBlock = 2 * sizeof(Lanes) / sizeof(int16_t);
  for (int64_t row = 0; row < periods * laws; row++, lanes += copies, out += copies) {
    const int16_t *own = steps + row % laws * (1 + most);
    for (int64_t first = 0; first < copies; first += kBlock) {
      const size_t bytes = std::min(kBlock, copies - first) * sizeof(int16_t);
      Lanes lane[2] = {}, units[2] = {Lanes{} + own[0], Lanes{} + own[0]};
      std::memcpy(lane, lanes + first, bytes);
      for (Lanes &one : lane) one ^= INT16_MIN;
      for (int64_t s = 1; s <= most; s++) units[0] -= lane[0] > own[s], units[1] -= lane[1] > own[s];
      std::memcpy(out + first, units, bytes);
    }
  }
}
}
