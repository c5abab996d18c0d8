// The same, and the gradient of its cost by the networks that decide.
#include "period.hpp"
#include "tape.hpp"

extern "C" void play(const Call *call) {
  Tape own(*call);
  tape = &own;
  Copies<Taped> copies(*call);
  for (long first = 0; first < call->copies; first += kLanes) {
    own.begin(std::min(call->copies - first, kLanes));
    copies.play(first);
    own.back();
  }
}
