// The world, some vectors of copies at a time through all periods.
#include "period.hpp"

template <class V>
static void play_all(const Call &call) {
  Copies<V> copies(call);
  for (long first = 0; first < call.copies; first += V::kCopies) copies.play(first);
}

extern "C" void play(const Call *call) {
  const Firm &firm = *call->firm;
  const long rows = firm.slots * firm.edges + 8 * (firm.points + firm.facing) * firm.products;
  const bool small = rows < 1500;  // two vectors side by side stay in the processor's second cache
  if (call->actors || !small) play_all<Reals<1>>(*call);  // networks act on one
  else play_all<Reals<2>>(*call);
}
