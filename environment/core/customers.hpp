// Customers who choose: what they ask for under what is shown to them, as `environment.choice`, and what a rule shows
// them and expects of them, as `heuristics.recommendation` and `heuristics.forecast`; those reckon in double precision.
#pragma once
#include "call.hpp"
#include "lanes.hpp"

typedef int16_t S __attribute__((vector_size(kLanes * sizeof(int16_t))));

// exp(x) for |x| <= 700, to the last bits of double precision: 2^n times the series of what is left of x.
template <long N>
inline Parts<D, N> exponential(Parts<D, N> x) {
  typedef int64_t W __attribute__((vector_size(sizeof(D))));
  constexpr double kShift = 0x1.8p52;
  constexpr double kTerms[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
      1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
  EACH {
    const D shifted = x.part[i] * 0x1.71547652b82fep0 + kShift, power = shifted - kShift;
    const D left = (x.part[i] - power * 0x1.62e42fefa38p-1) - power * 0x1.ef35793c7673p-45;  // ln 2 in two parts
    D sum = D{} + kTerms[0];
    for (int term = 1; term < 14; term++) sum = sum * left + kTerms[term];
    const W exponent = ((W)shifted - (W)(D{} + kShift) + 1023) << 52;
    x.part[i] = sum * (D)exponent;
  }
  return x;
}

template <long N>
inline Parts<D, N> root(Parts<D, N> x) {
  double lanes[N * kLanes];
  std::memcpy(lanes, &x, sizeof lanes);
  for (double &lane : lanes) lane = __builtin_sqrt(lane);
  std::memcpy(&x, lanes, sizeof lanes);
  return x;
}

// A level from a forecast of demand, units; both follow what was asked, seasons taken out.
template <long N>
inline Reals<N> forecast_level(Parts<D, N> forecast, double covered, double safety) {
  Parts<D, N> mean, bounded;
  EACH mean.part[i] = forecast.part[i] * covered, bounded.part[i] = mean.part[i] > 0.0 ? mean.part[i] : D{};
  return narrow(mean + all<Parts<D, N>>(safety) * root(bounded));
}
template <long N>
inline void follow(Parts<D, N> &forecast, Reals<N> asked, double factor, double smoothing) {
  const auto demand = wide(asked);
  EACH forecast.part[i] += smoothing * (demand.part[i] / factor - forecast.part[i]);
}

// The demand of one period: each customer's number is below the bound of what he buys, and of nothing before it.
template <long N>
class Customers {
  typedef Parts<D, N> Wide;
  static constexpr double kNever = -700;  // utility whose exponential is nothing beside 1

 public:
  explicit Customers(const Call &call)
      : call_(call),
        firm_(*call.firm),
        upper_(firm_.products),
        worth_(firm_.facing * firm_.products),
        upper_edge_(firm_.products),
        below_(firm_.products),
        bought_(firm_.segments * firm_.products) {}

  // What each segment asked for in the last period, [S K].
  const std::vector<Reals<N>> &bought() const { return bought_; }

  // The best offer to each segment, the first of equally good ones; `available` are units on hand or next to arrive.
  void recommend(long t, const std::vector<Reals<N>> &available, std::vector<Reals<N>> &exposure) {
    appraise(t, available);
    for (long s = 0; s < firm_.segments; s++) {
      Wide best = score(s, 0) - all<Wide>(1);
      for (long c = 0; c < call_.offers; c++) {
        const Wide found = score(s, c);
        const double *shown = call_.offered + (s * call_.offers + c) * firm_.products;
        EACH {
          const auto better = found.part[i] > best.part[i];
          best.part[i] = better ? found.part[i] : best.part[i];
          for (long k = 0; k < firm_.products; k++) {
            R &own = exposure[s * firm_.products + k].part[i];
            own = __builtin_convertvector(better, M) ? R{} + (real)shown[k] : own;
          }
        }
      }
    }
  }

  // What a unit sold is worth at each point that faces customers: its margin, less its shadow price where it is scarce.
  void appraise(long t, const std::vector<Reals<N>> &available) {
    const int32_t *row = firm_.seller + firm_.inside;
    for (size_t c = 0; c < worth_.size(); c++, row++) {
      const Wide stock = wide(available[*row]);
      const double margin = call_.margin[*row], stake = call_.stake[t * firm_.points * firm_.products + *row];
      EACH worth_[c].part[i] = margin - call_.scarcity * (stake / (stock.part[i] > 1.0 ? stock.part[i] : D{} + 1.0));
    }
  }

  // What every offer is expected to earn beside the last one, in units; [S offers].
  void scores(double unit, Reals<N> *to) const {
    for (long s = 0; s < firm_.segments; s++) {
      const Wide none = score(s, call_.offers - 1);
      for (long c = 0; c < call_.offers; c++) *to++ = narrow((score(s, c) - none) / all<Wide>(unit));
    }
  }

  // What an offer is expected to earn, money a customer.
  Wide score(long segment, long offer) const {
    const double *bought = call_.bought + (segment * call_.offers + offer) * firm_.products;
    const auto *worth = &worth_[firm_.segment_facing[segment] * firm_.products];
    Wide sum = all<Wide>(bought[0]) * worth[0];
    for (long k = 1; k < firm_.products; k++) sum = sum + all<Wide>(bought[k]) * worth[k];
    return sum;
  }

  // Adds it to what is wanted on the lines of external demand, [C K].
  template <class V>
  void buy(long t, long first, long count, const std::vector<Reals<N>> &exposure, const std::vector<Reals<N>> &wait,
           V *wanted) {
    const long products = firm_.products;
    for (long s = 0; s < firm_.segments; s++) {
      Wide sum{};
      for (long k = 0, row = s * products; k < products; k++, row++) {
        Wide utility = all<Wide>(firm_.preference[row]) + all<Wide>(firm_.uplift[row]) * wide(exposure[row]);
        if (firm_.impatience) {
          utility -= all<Wide>(firm_.impatience[s]) * wide(wait[firm_.segment_facing[s] * products + k]);
          EACH utility.part[i] = utility.part[i] > kNever ? utility.part[i] : D{} + kNever;
        }
        upper_[k] = sum = sum + exponential(utility);
      }
      for (long k = 0; k < products; k++) upper_edge_[k] = edge(upper_[k], sum), below_[k] = {};
      count_below(t, s, first, count);
      Parts<S, N> before{};
      for (long k = 0; k < products; k++) {
        Reals<N> &bought = bought_[s * products + k];
        EACH bought.part[i] = __builtin_convertvector(below_[k].part[i] - before.part[i], R);
        wanted[firm_.segment_facing[s] * products + k] += V(bought);
        before = below_[k];
      }
    }
  }

 private:
  // A share of all numbers, rounded as those of laws are.
  static Parts<S, N> edge(Wide upper, Wide sum) {
    constexpr double kShift = 0x1.8p52, kTable = 65536;
    Parts<S, N> result;
    EACH {
      const D share = upper.part[i] / (1.0 + sum.part[i]) * kTable, whole = (share + kShift) - kShift;
      result.part[i] = __builtin_convertvector((whole < kTable - 1 ? whole : D{} + kTable - 1) - kTable / 2, S);
    }
    return result;
  }

  // How many of a segment's customers have a number below each edge.
  void count_below(long t, long segment, long first, long count) {
    const long apart = firm_.segments * call_.drawn;
    const real *traffic = call_.traffic + (t * firm_.segments + segment) * call_.drawn + first;
    const real most = *std::max_element(traffic, traffic + count);
    const auto came = load<Parts<S, N>>(traffic, count);
    const int16_t *number = call_.customers + (t * call_.crowd * firm_.segments + segment) * call_.drawn + first;
    for (int16_t j = 0; j < most; j++, number += apart) {
      auto customer = load<Parts<S, N>>(number, count);
      EACH customer.part[i] = came.part[i] > j ? customer.part[i] : S{} + INT16_MAX;  // who does not come, buys nothing
      for (long k = 0; k < firm_.products; k++) EACH below_[k].part[i] -= customer.part[i] < upper_edge_[k].part[i];
    }
  }

  const Call &call_;
  const Firm &firm_;
  std::vector<Wide> upper_, worth_;              // [K] sums of weights, [C K] money a unit
  std::vector<Parts<S, N>> upper_edge_, below_;  // [K] bounds of the numbers that buy, and how many are below
  std::vector<Reals<N>> bought_;                 // [S K]
};
