// The world, some vectors of copies at a time through all periods.
#include "period.hpp"
#include "threads.hpp"

template <class V>
static void play_all(const Call &call, double size) {
  const long parts = (call.copies + V::kCopies - 1) / V::kCopies;
  side_by_side(call.actors ? 1 : call.threads, parts, size, [&](auto next) {
    Copies<V> copies(call);
    for (long part; (part = next()) < parts;) copies.play(part * V::kCopies);
  });
}

extern "C" void play(const Call *call) {
  const Firm &firm = *call->firm;
  const long rows = firm.slots * firm.edges + 8 * (firm.points + firm.facing) * firm.products;
  const bool small = rows < 1500;  // two vectors side by side stay in the processor's second cache
  const double size = (double)call->copies * call->periods * firm.points * firm.products;
  if (call->actors || !small) play_all<Reals<1>>(*call, size);  // networks act on one
  else play_all<Reals<2>>(*call, size);
}
