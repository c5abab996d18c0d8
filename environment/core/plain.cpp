// The world, vector by vector of copies through all periods.
#include "period.hpp"

extern "C" void play(const Call *call) {
  Copies<R> copies(*call);
  for (long first = 0; first < call->copies; first += kLanes) copies.play(first);
}
