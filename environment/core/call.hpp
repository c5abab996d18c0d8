// What Python hands over. `environment/boundary.py` reads these declarations: one type a line, names after it.
//
// N stock points, K products, Ed edges, L lines of demand (the internal edges, then the customers of C points), S
// segments of customers who choose, E copies. A row is an item and a product, products last: row i of a field is
// numbers i E .. (i + 1) E - 1.
#pragma once
#include "lanes.hpp"

struct Firm {
  int64_t points, products, facing;         // N, K, C
  int64_t edges, inside, groups, slots;     // rows of edges, of those between points; suppliers; slots of the pipeline
  const int32_t *target, *seller;           // [Ed K] row that an edge leads to; [L K] that serves a line
  const int32_t *in_start, *in_edge;        // [N K + 1], [Ed K] edges by where they lead, suppliers in their order
  const int32_t *group_start, *group_line;  // [groups + 1], [L K] lines by who serves them
  const int32_t *facing_line;               // [N K] its line of external demand, counted from the first, or -1
  int64_t at_once;                          // whether what is shipped may arrive in the same period
  const int64_t *fixed_lead_time;           // [Ed K] periods
  const real *holding_cost;                 // [N K] money
  int64_t by_edge;                          // whether the O orders are of edges, not of points
  const real *max_order;                    // [O K] units, whole packs
  const real *multiple, *least;             // [O K] units a pack, smallest order; or none: any
  const double *storage, *load, *carried;   // [N], [O], [inside / K] units that products share, negative: any; or none
  const real *penalty, *price;              // [N K] money a unit of backlog or lost; earned, or none
  const real *unit_cost, *fixed_cost;       // [O K] or none
  const real *joint_cost;                   // [O] money an order of any products, or none
  const double *blur;                       // [N K] units; see `Network.blur`
  int64_t shut, waiting;                    // rows of `aside`: D K edges that may be shut, Q K orders that wait
  int64_t ages, perishable;                 // A ages of P K points whose stock expires
  int64_t switching, told;              // M - 1 regimes, the last rows of `aside`, K each; of how many departments hear
  const int32_t *shut_edge, *shut_row;  // [D K] which; [Ed K] its place among these, or -1, or none
  const int32_t *waiting_row;           // [D K] of `aside`, or -1 inside
  const int32_t *break_start, *break_end;  // [D K] signed numbers from which on an edge stays open; is open again
  const int32_t *perishing, *life;         // [P K] rows of points, and how many periods a unit can be sold in
  const real *waste_cost;                  // [N K] money a unit that expired
  int64_t emergencies;                     // rows of edges that deliver at once what their customer is short of:
  const int32_t *emergency_seller, *emergency_target, *emergency_below;  // [M K] rows of points; signed numbers below
                                                                         // which they do
  const int32_t *prefer;      // [Ed K] places of in_edge by preference, or none: whoever was drawn
  const real *upto;           // [Ed K] of 65,536: what goes to these and those before, where it is shared out, or none
  const real *ranks;          // [inside] units added to positions where customers rank, or none
  const int64_t *congestion;  // [Ed][2] units under way for a period more, at most so many; or none
  int64_t ships_first;        // whether who supplies others ships before it receives
  const int32_t *rationing;   // [N K] scarce stock is shared out in proportion, 2 to whom most is missing, 3 with
                              // precedence; or none
  int64_t precedences;        // A K rows of decisions behind the O K orders
  const int32_t *precedence_row;                    // [L K] its row among these, or -1; or none
  const real *most_precedence;                      // [A K] units, either way
  const int32_t *newest_first;                      // [N K] who serves new orders first, by inventory levels, or none
  const real *lost;                                 // [C K] parts of 65,536 of unmet demand that are, or none
  const real *unit_emissions, *shipment_emissions;  // [Ed K] money a unit that leaves, [Ed] if any does; or none
  const real *salvage;                              // [N K] money a unit that is left when an episode ends, or none
  int64_t segments;                                 // S
  const int32_t *segment_facing;                    // [S] of C
  const double *preference, *uplift;                // [S K] utility, -700 where not sold; what full exposure adds to it
  const double *impatience;                         // [S] utility a period of promised wait, or none
  int64_t longest;                                  // periods that one waits at most
  const real *standing;                             // [S K] exposure where nobody decides
};

// What networks are asked by the address they lie at; all arrays are of vectors, a number for each copy.
typedef void Begin(void *actors);  // an episode: they remember nothing
typedef void Decide(void *actors, const real *seen, const real *noise, real *did, real *log_prob);  // noise: or none
typedef void Remember(void *actors, real *memory);            // all their memories, one after the other
typedef void Act(void *actors, const real *seen, real *out);  // outputs, where they are differentiated
typedef void Back(void *actors, const real *seen, const real *by_out, real *by_seen);  // gradients

// What an output of networks does to what is wished: it replaces it, is added to it, or says whether it is ordered.
enum Decides { kReplaces, kAdds, kPlaces };

struct Call {
  const Firm *firm;
  int64_t copies, periods, counted;  // E, T, the first whose cost and measures count
  int64_t drawn;                     // copies of chance: copy e meets that of copy e mod drawn
  int64_t threads;                   // that rules may be played on
  real *on_hand, *pipeline, *owed, *inventory_position, *aside;  // the state, which goes on
  const real *demand, *cost_factor;                              // chance; none: nothing is random there
  const real *flags, *purchase_factor;  // [T][M - 1][E] regimes that come, [T][E] what a unit ordered costs
  const int16_t *supplier, *lead_time, *lost, *breaks, *emergency;
  int64_t crowd;                             // J customers at most, and
  const int16_t *customers;                  // [T][J][S][E] what decides each one's choice
  const real *traffic;                       // [T][S][E] how many of them come
  const real *exposure;                      // [T][S K][E] feasible, or none: the standing one
  double *cost, *sums;                       // [N][E] and measures, none: nobody asks
  const real *taken;                         // [T][O K] 1 where orders are taken, or none: always
  const real *cycle_ends;                    // [T][C K] 1 where a replenishment cycle ends, or none: always
  const real *orders;                        // [T][(O + A) K][E], or
  int64_t rules;                             // copy e follows that of number e rules / E:
  const real *level, *reorder_point;         // [N K][rules] what is ordered up to, and from where on
  const int32_t *weight_start, *weight_row;  // [N K + 1] positions that each level is compared with, or none
  const real *weight;
  const double *forecast;                          // [N K] where levels follow what is asked: the first forecast,
  const double *safety, *factor_before, *covered;  // [N K], [T][N], [T][N K]; see `heuristics.forecast`
  double smoothing;
  int64_t offers;                                 // to each segment, of which the best is shown; 0: none is
  const double *offered, *bought;                 // [S][offers][K]; see `heuristics.recommendation.Offers`
  const double *margin, *stake;                   // [N K], and [T][N K] price times the demand expected
  double scarcity;                                // weight of the shadow price
  int64_t features, arrivals, cut;                // of networks that decide; the first are cut off at
  double limit;                                   // this and its negative
  const real *centre, *factor;                    // [features] which are (units - centre) factor
  const real *phase;                              // [T + 1][phases] of seasons, the last features
  int64_t phases, told;                           // told: whether they hear of customers
  const real *spread;                             // [N K] units of what is wished, which they see too, or none;
  double score_unit;                              // and behind that scores of offers less the last one's, in this
  const real *noise;                              // [T][noises][E], or none
  int64_t outputs, noises, deciders, remembered;  // rows of what they do, of noise, networks, rows of memory
  const int64_t *place, *kind;                    // [outputs] row decided; how: see `Decides`
  const real *unit;                               // [outputs] units
  int64_t ordering, shown;                        // outputs that are orders; then products for each segment
  int64_t choices;                                // what a place stands for, if not a product each
  const real *alternatives;                       // [choices][K] exposures
  int64_t seen_rows, chunk;                       // rows of `seen`; memory is recorded every so many periods
  real *seen, *hinted, *did, *log_prob, *memory;  // recorded: [T + 1][seen_rows][E], [T] of rules, of the others
  real *spent, *on_hand_after, *held;             // [T][N K][E] money, units, [T + 1][N K][E] and under way
  real *unserved, *demanded;                      // [T][C K][E]
  void *actors;
  Begin *begin;
  Decide *decide;
  Remember *remember;
  Act *act;
  Back *back;
  double bound, share;     // of a unit's worth; of a period and copy in the mean cost
  int64_t episode, sways;  // differentiated: until it ends; whether what is shown counts, too
  const real *may;         // [S][offers] differentiated: 1: may be shown
};

// What networks do, and how probable their choices were.
inline void decide(const Call &call, const std::vector<Reals<1>> &see, const std::vector<Reals<1>> &noise,
                   std::vector<Reals<1>> &did, std::vector<Reals<1>> &log_prob) {
  const real *added = call.noise ? (const real *)noise.data() : nullptr;
  call.decide(call.actors, (const real *)see.data(), added, (real *)did.data(), (real *)log_prob.data());
}
