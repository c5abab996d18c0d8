// What products share: storage, and what an edge carries; see `environment.orders.share_out`.
#pragma once
#include <cmath>
#include <vector>

struct Claim {  // of one product and copy, whole units
  double wish, free, multiple, least, given;
  double takes() const { return std::max(given - free, 0.0); }
  // The most it may be given, up to its wish and to so many units.
  double fitting(double units) const {
    const double packs = std::floor(std::min(wish, units) / multiple) * multiple;
    return packs < least ? 0 : packs;
  }
};

inline void share_out(std::vector<Claim> &claims, double room) {
  double asked = 0, left = room;
  for (Claim &claim : claims) claim.given = claim.wish, asked += claim.takes();
  if (asked <= room) return;
  for (Claim &claim : claims) {
    claim.given = claim.fitting(claim.free + std::floor(claim.takes() * room / asked));
    left -= claim.takes();
  }
  for (Claim &claim : claims) {
    left += claim.takes();
    claim.given = claim.fitting(claim.free + left);
    left -= claim.takes();
  }
}
