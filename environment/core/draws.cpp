// Numbers that were drawn, looked up in tables of quantiles; see LawTable in environment/world.py.
#include <cstdint>

// out[t][law][e] = table[offset[law] + lanes[t][law][e]], for rows of `copies`.
template <class T>
static void look_up(const T *table, const int32_t *offset, const int16_t *lanes, int64_t periods, int64_t laws,
                    int64_t copies, T *out) {
  for (int64_t t = 0; t < periods; t++)
    for (int64_t law = 0; law < laws; law++, lanes += copies, out += copies) {
      const T *own = table + offset[law];
      for (int64_t e = 0; e < copies; e++) out[e] = own[lanes[e]];
    }
}

extern "C" {
// out[t][row][e]: which of count[row] equally likely ones a number stands for.
void choose(const int32_t *count, const int16_t *lanes, int64_t periods, int64_t rows, int64_t copies, int16_t *out) {
  for (int64_t t = 0; t < periods; t++)
    for (int64_t row = 0; row < rows; row++, lanes += copies, out += copies)
      for (int64_t e = 0; e < copies; e++) out[e] = (int16_t)(((int32_t)lanes[e] + 32768) * count[row] >> 16);
}
void look_up_float32(const float *table, const int32_t *offset, const int16_t *lanes, int64_t periods, int64_t laws,
                     int64_t copies, float *out) {
  look_up(table, offset, lanes, periods, laws, copies, out);
}
void look_up_float64(const double *table, const int32_t *offset, const int16_t *lanes, int64_t periods, int64_t laws,
                     int64_t copies, double *out) {
  look_up(table, offset, lanes, periods, laws, copies, out);
}
void look_up_int16(const int16_t *table, const int32_t *offset, const int16_t *lanes, int64_t periods, int64_t laws,
                   int64_t copies, int16_t *out) {
  look_up(table, offset, lanes, periods, laws, copies, out);
}
}
