// The events of a period, one function each in the order of docs/model.md, for a vector of copies.
//
// `environment.World` does the same with tensors, and here it is done to the bit: units are whole, money is added in
// the same order, and no product and sum are rounded as one. V is Reals, or Taped where the cost is differentiated.
#pragma once
#include <mutex>

#include "call.hpp"
#include "customers.hpp"
#include "lanes.hpp"
#include "orders.hpp"

enum Served { kAll, kInside, kOutside };                       // customers that are stock points, or external ones
enum Rationing { kInTurn, kProportion, kShortage, kLearned };  // of scarce stock, as `environment/network.py` has it

template <class V>
class Copies {
  static constexpr bool kTaped = !std::is_trivial_v<V>, kActs = V::kCopies == kLanes;  // networks act on one vector
  typedef std::conditional_t<kTaped, Reals<1>, V> Given;                               // what is not differentiated
  typedef Truths<V::kCopies / kLanes> Truth;
  typedef Parts<D, V::kCopies / kLanes> Wide;

 public:
  explicit Copies(const Call &call)
      : call_(call),
        firm_(*call.firm),
        customers_(call),
        rows_(firm_.points * firm_.products),
        lines_(firm_.inside + firm_.facing * firm_.products),
        orders_(firm_.by_edge ? firm_.edges : rows_),
        decisions_(orders_ + firm_.precedences),
        on_hand_(rows_),
        position_(rows_),
        level_held_(firm_.newest_first ? rows_ : 0),
        order_(decisions_),
        wish_(decisions_),
        owed_(lines_),
        wanted_(lines_),
        shipped_(lines_),
        earlier_(lines_),
        earlier_new_(lines_),
        portion_(firm_.rationing ? lines_ : 0),
        full_(portion_.size()),
        part_(kTaped ? portion_.size() : 0),
        leaving_(firm_.edges),
        ring_(firm_.slots * firm_.edges),
        aside_(firm_.shut + firm_.waiting + firm_.ages * firm_.perishable + firm_.switching * firm_.products),
        held_back_(firm_.shut),
        shelf_(firm_.perishable),
        arrived_(firm_.perishable ? rows_ : 0),
        waste_(firm_.perishable ? rows_ : 0),
        backlog_(lines_ - firm_.inside),
        unserved_(lines_ - firm_.inside),
        claimed_(firm_.emergencies ? rows_ : 0),
        delivered_(firm_.emergencies),
        seen_(call.features + (call.spread ? rows_ + firm_.segments * call.offers : 0)),
        did_(call.outputs),
        noise_(call.noise ? call.noises : 0),
        log_prob_(call.deciders),
        memory_(call.remembered),
        level_(call.level || call.forecast ? rows_ : 0),
        reorder_point_(call.reorder_point ? rows_ : 0),
        exposure_(firm_.segments * firm_.products),
        wait_(firm_.impatience ? lines_ - firm_.inside : 0),
        available_(call.offers ? rows_ : 0),
        scores_(call.spread ? firm_.segments * call.offers : 0),
        asked_(call.sums || call.forecast || tells() ? rows_ : 0),
        handed_(tells() ? rows_ : 0),
        fits_(firm_.products),
        claims_(firm_.products),
        forecast_(call.forecast ? rows_ : 0),
        follows_(kTaped ? forecast_.size() : 0),
        swayed_(call.sways ? firm_.facing * firm_.products : 0),
        chance_(call.sways ? call.offers : 0),
        short_(call.sums ? firm_.facing * firm_.products : 0),
        cost_(firm_.points),
        squares_(call.sums ? 2 * firm_.points : 0),
        tally_(call.sums ? rows_ + 5 * firm_.points + (3 * firm_.products + 2) * firm_.facing + firm_.edges +
                               firm_.edges / firm_.products + firm_.segments * firm_.products + 2
                         : 0) {}

  // All periods of the copies from `first` on, as many as fit into a vector.
  void play(long first) {
    first_ = first, drawn_ = first % call_.drawn, count_ = std::min(call_.copies - first, V::kCopies), slot_ = 0;
    begin();
    for (long t = 0; t < call_.periods; t++) {
      act(t);
      show(t);
      ask(t);
      if (firm_.shut) disrupt(t);
      for (long r = 0; r < firm_.switching && call_.flags; r++)
        for (long k = 0; k < firm_.products; k++) in_force(r)[k] = drawn(call_.flags, t, firm_.switching, r);
      if (firm_.ships_first) fulfil(t, kInside);
      receive(t);
      fulfil(t, firm_.ships_first ? kOutside : kAll);
      if (firm_.perishable) expire();
      dispatch(t);
      if constexpr (kActs)
        if (call_.held) bring(t);
      if constexpr (!kTaped)
        if (call_.sums) {
          end_cycles(t);
          if (firm_.shut) recover(t);
        }
      if (t < call_.counted) continue;
      account(t);
      if constexpr (!kTaped)
        if (call_.sums) measure();
    }
    if constexpr (kActs)
      if (call_.seen) look(call_.periods);
    end();
  }

 private:
  static Given all(real x) { return ::all<Given>(x); }
  Given at(const real *field, long row) const { return load<Given>(field + row * call_.copies + first_, count_); }
  // What was drawn for a row of a period; that of the next one, which lies far away in memory, is asked for.
  template <class P, class T>
  P drawn_as(const T *field, long t, long rows, long row) const {
    const T *from = field + (t * rows + row) * call_.drawn + drawn_, *next = from + rows * call_.drawn;
    for (long i = 0; i < V::kCopies; i += kBytes / (long)sizeof(T)) __builtin_prefetch(next + i);
    return load<P>(from, count_);
  }
  Given drawn(const real *f, long t, long rows, long row) const { return drawn_as<Given>(f, t, rows, row); }
  Truth drawn(const int16_t *f, long t, long rows, long row) const { return drawn_as<Truth>(f, t, rows, row); }
  template <class W>
  void keep(real *field, long row, W value) const {
    store(field + row * call_.copies + first_, value, count_);
  }

  void begin() {
    for (long i = 0; i < rows_; i++) on_hand_[i] = at(call_.on_hand, i), position_[i] = at(call_.inventory_position, i);
    for (long l = 0; l < lines_; l++) owed_[l] = at(call_.owed, l);
    for (size_t i = 0; i < aside_.size(); i++) aside_[i] = at(call_.aside, (long)i);
    for (size_t i = 0; i < ring_.size(); i++) ring_[i] = at(call_.pipeline, (long)i);
    const auto levels = [&](const real *from, std::vector<Given> &to) {
      for (size_t i = 0; i < to.size() && from; i++)
        for (long j = 0; j < count_; j++) to[i][j] = from[i * call_.rules + (first_ + j) * call_.rules / call_.copies];
    };
    levels(call_.level, level_), levels(call_.reorder_point, reorder_point_);
    for (size_t i = 0; i < exposure_.size(); i++) exposure_[i] = all(firm_.standing[i]);
    for (size_t i = 0; i < forecast_.size(); i++) forecast_[i] = ::all<Wide>(call_.forecast[i]);
    std::fill(follows_.begin(), follows_.end(), V());
    for (long p = 0; p < rows_ && call_.held; p++) keep(call_.held, p, on_hand_[p] + under_way(p, 0, firm_.slots));
    if (call_.begin) call_.begin(call_.actors);
    std::fill(cost_.begin(), cost_.end(), Wide{}), std::fill(squares_.begin(), squares_.end(), Wide{});
    std::fill(tally_.begin(), tally_.end(), Given{});
    std::fill(short_.begin(), short_.end(), Given{});
    calm_ = late_ = before_ = Given{};
    for (long l = firm_.inside; l < lines_; l++) before_ += plain(owed_[l]);
  }

  void end() {
    if constexpr (kTaped)
      for (long p = 0; p < rows_ && call_.episode && firm_.salvage; p++)
        paid((on_hand_[p] + under_way(p, 0, firm_.slots)) * all(-firm_.salvage[p]));
    for (long i = 0; i < rows_; i++)
      keep(call_.on_hand, i, on_hand_[i]), keep(call_.inventory_position, i, position_[i]);
    for (long l = 0; l < lines_; l++) keep(call_.owed, l, owed_[l]);
    record(call_.aside, 0, aside_);
    for (long k = 0; k < firm_.slots; k++)
      for (long i = 0; i < firm_.edges; i++) keep(call_.pipeline, k * firm_.edges + i, arriving(k)[i]);
    for (long n = 0; n < firm_.points; n++)
      for (long j = 0; j < count_; j++) call_.cost[n * call_.copies + first_ + j] += cost_[n][j];
    if (!call_.sums) return;
    static std::mutex adding;
    const std::lock_guard<std::mutex> alone(adding);  // sums are of whole numbers, so their order changes nothing
    for (size_t m = 0; m < tally_.size(); m++)
      for (long j = 0; j < count_; j++) call_.sums[m] += tally_[m][j];
    for (long m = 0; m < (long)squares_.size(); m++)
      for (long j = 0, place = rows_ + (m < firm_.points ? m + firm_.points : m + 2 * firm_.points); j < count_; j++)
        call_.sums[place] += squares_[m][j];
  }

  // What arrives on every edge `ahead` periods after the next one; `ahead` at most the slots.
  V *arriving(long ahead) {
    const long slot = slot_ + ahead;
    return &ring_[(slot < firm_.slots ? slot : slot - firm_.slots) * firm_.edges];
  }

  struct Lines {  // of demand, of one supplier
    const int32_t *line;
    long count, seller;
  };
  Lines lines_of(long group) const {
    const int32_t *line = firm_.group_line + firm_.group_start[group];
    return {line, firm_.group_start[group + 1] - firm_.group_start[group], firm_.seller[*line]};
  }

  // Event 4: what is ordered by every point, or on every edge, as the world accepts it.
  void act(long t) {
    if (call_.orders) {
      for (long i = 0; i < decisions_; i++) order_[i] = at(call_.orders, t * decisions_ + i);
      return;
    }
    const bool looks = kActs && call_.actors;
    if (looks) look(t);
    forecast(t);
    for (long i = 0; i < rows_; i++) {
      V level(level_[i]);
      if constexpr (kTaped)
        if (!follows_.empty()) level.node = follow_level(t, i);
      V wish = level - compared(i);
      if (call_.reorder_point) wish = pick(position_[i] <= reorder_point_[i], wish, V());
      if (firm_.by_edge) part(i, wish);
      else wish_[i] = wish;
    }
    for (long i = orders_; i < decisions_; i++) wish_[i] = V();  // rules say nothing of precedence
    if constexpr (kActs)
      if (looks) consult(t);
    for (long i = 0; i < orders_; i++)
      order_[i] = !call_.taken || call_.taken[t * orders_ + i] != 0 ? order_of(i) : V();
    for (long i = orders_; i < decisions_; i++) {
      const real most = firm_.most_precedence[i - orders_];
      order_[i] = preceding(wish_[i], most);
    }
    for (long o = 0; o < orders_ / firm_.products; o++) {
      const long first = firm_.by_edge ? firm_.target[o * firm_.products] : o * firm_.products;  // row of the point
      const double room = firm_.storage ? firm_.storage[first / firm_.products] : -1;
      if (firm_.load && firm_.load[o] >= 0) cut(order_, o, firm_.load[o], nullptr, true);
      if (room >= 0) cut(order_, o, room, &position_[first], true);
    }
  }

  // What a rule wishes for a point, shared out to its edges.
  void part(long row, V wish) {
    V before{};
    for (long i = firm_.in_start[row]; i < firm_.in_start[row + 1]; i++) {
      const V upto = share_of(wish, firm_.upto[firm_.in_edge[i]], Truth{});
      wish_[firm_.in_edge[i]] = upto - before, before = upto;
    }
  }

  // What a point orders in all.
  V ordered(long row) const {
    if (!firm_.by_edge) return order_[row];
    V sum{};
    for (long i = firm_.in_start[row]; i < firm_.in_start[row + 1]; i++) sum += order_[firm_.in_edge[i]];
    return sum;
  }

  V order_of(long i) const {
    const V wish = firm_.by_edge ? inward(wish_[i], firm_.max_order[i]) : wish_[i];
    if (!firm_.multiple) return accepted(wish, firm_.max_order[i]);
    return accepted(wish, firm_.max_order[i], firm_.multiple[i], firm_.least[i]);
  }

  // What all products of an item share, of which they `held` so much before, or nothing; `orders` come in packs.
  void cut(std::vector<V> &units, long item, double most, const V *held, bool orders) {
    const long products = firm_.products, first = item * products;
    std::fill(fits_.begin(), fits_.end(), Given{});
    for (long j = 0; j < count_; j++) {
      double room = most;
      for (long k = 0; k < products; k++) {
        const double position = held ? plain(held[k], j) : 0;
        const bool packs = orders && firm_.multiple;
        claims_[k] = {plain(units[first + k], j), std::max(-position, 0.0), 1, 0, 0};
        if (packs) claims_[k].multiple = firm_.multiple[first + k], claims_[k].least = firm_.least[first + k];
        room -= std::max(position, 0.0);
      }
      share_out(claims_, std::max(room, 0.0));
      for (long k = 0; k < products; k++) fits_[k][j] = (real)claims_[k].given;
    }
    for (long k = 0; k < products; k++)
      units[first + k] = pick(units[first + k] > fits_[k], V(fits_[k]), units[first + k]);
  }

  // Levels that follow what was asked in the last period.
  void forecast(long t) {
    for (size_t i = 0; i < forecast_.size(); i++) {
      const long point = (long)i / firm_.products;
      if (t) follow(forecast_[i], plain(asked_[i]), call_.factor_before[t * firm_.points + point], call_.smoothing);
      level_[i] = forecast_level(forecast_[i], call_.covered[t * rows_ + i], call_.safety[i]);
    }
  }

  // What a level that follows demand was made of: m + z sqrt(m) of the mean m that is forecast and covered.
  int follow_level(long t, long row) {
    const double covered = call_.covered[t * rows_ + row], safety = call_.safety[row];
    if (t) {
      const double factor = call_.factor_before[t * firm_.points + row / firm_.products];
      follows_[row] = follows_[row] * all(1 - call_.smoothing) + asked_[row] * all(call_.smoothing / factor);
    }
    Wide mean = forecast_[row] * ::all<Wide>(covered);
    Wide slope = ::all<Wide>(covered);
    for (long j = 0; j < kLanes; j++)
      if (mean[j] > 0) slope[j] *= 1 + safety / (2 * __builtin_sqrt(mean[j]));
    return (follows_[row] * narrow(slope)).node;
  }

  // The position that a level is compared with.
  V compared(long row) const {
    if (!call_.weight) return position_[row];
    V sum{};
    for (long w = call_.weight_start[row]; w < call_.weight_start[row + 1]; w++)
      sum += position_[call_.weight_row[w]] * all(call_.weight[w]);
    return sum;
  }

  // The rows of `aside` that say whether a regime is in force.
  V *in_force(long regime) { return &aside_[aside_.size() - (firm_.switching - regime) * firm_.products]; }

  // Whether there are customers to hear of.
  bool tells() const { return call_.told; }

  // What there is to see, scaled, as `Observer.all_features`: positions, stock, arrivals, units owed, who is shut; with
  // customers what was asked and handed over, what is under way, traffic, exposure, seasons.
  void look(long t) {
    long g = 0;
    for (const V &units : position_) seen_[g++] = units;
    for (const V &units : on_hand_) seen_[g++] = units;
    for (long ahead = 0; ahead < call_.arrivals; ahead++)
      for (long p = 0; p < rows_; p++)
        seen_[g++] = under_way(p, ahead, ahead == call_.arrivals - 1 ? firm_.slots : ahead + 1);
    for (const V &units : owed_) seen_[g++] = units;
    for (long d = 0; d < firm_.shut; d++) seen_[g++] = aside_[d];
    for (long r = 0; r < firm_.told; r++) seen_[g++] = *in_force(r);
    if (tells()) {
      for (const V &units : asked_) seen_[g++] = t ? units : V();
      for (const V &units : handed_) seen_[g++] = t ? units : V();
      for (long p = 0; p < rows_; p++) seen_[g++] = under_way(p, 0, firm_.slots);
      for (long s = 0; s < firm_.segments; s++)
        seen_[g++] = t ? drawn(call_.traffic, t - 1, firm_.segments, s) : Given{};
      for (const Given &shown : exposure_) seen_[g++] = t ? shown : Given{};
    }
    for (long i = 0; i < call_.phases; i++) seen_[g++] = all(call_.phase[t * call_.phases + i]);
    for (g = 0; g < call_.features; g++) {
      seen_[g] = (seen_[g] - V(all(call_.centre[g]))) * all(call_.factor[g]);
      if (g < call_.cut) seen_[g] = within(seen_[g], -(real)call_.limit, (real)call_.limit);
      if (call_.seen) keep(call_.seen, t * call_.seen_rows + g, seen_[g]);
    }
  }

  // What arrives at a point from one slot of the pipeline to before another.
  V under_way(long row, long first, long last) {
    V units{};
    for (long slot = first; slot < last; slot++)
      for (long i = firm_.in_start[row]; i < firm_.in_start[row + 1]; i++) units += arriving(slot)[firm_.in_edge[i]];
    return units;
  }

  // The networks decide on what is seen and on what the rules say; what comes of it is wished and shown.
  void consult(long t) {
    if (call_.spread) hint(t);
    if (call_.memory && t % call_.chunk == 0) {
      call_.remember(call_.actors, (real *)memory_.data());
      record(call_.memory, t / call_.chunk, memory_);
    }
    for (size_t i = 0; i < noise_.size(); i++) noise_[i] = at(call_.noise, t * call_.noises + i);
    decide(call_, seen_, noise_, did_, log_prob_);
    if (call_.did) record(call_.did, t, did_), record(call_.log_prob, t, log_prob_);
    for (long j = 0; j < call_.ordering; j++) {
      const Given unit = all(call_.unit[j]);
      V &wish = wish_[call_.place[j]];
      if (call_.kind[j] == kPlaces) wish = pick(placed(j), wish, V());
      else wish = call_.kind[j] == kAdds ? wish + did_[j] * unit : (did_[j] + V(all(1))) * unit;
    }
    if constexpr (kTaped) {
      if (call_.shown) recommend(t);
    } else {
      for (long i = 0; i < (long)exposure_.size() && call_.shown; i++) {
        const long first = call_.ordering + i / firm_.products * call_.shown;
        exposure_[i] = {};
        const long k = i % firm_.products;
        for (long slot = first; slot < first + call_.shown; slot++) {
          if (!call_.choices) exposure_[i] = pick(did_[slot] == all(k), all(1), exposure_[i]);
          for (long c = 0; c < call_.choices; c++)
            exposure_[i] = pick(did_[slot] == all(c), all(call_.alternatives[c * firm_.products + k]), exposure_[i]);
        }
      }
    }
  }

  // Whether something is ordered: networks said so, or where it is differentiated their logit with its noise, if any.
  Truth placed(long output) const {
    const Given said = plain(did_[output]);
    if constexpr (!kTaped) return said > Given{};
    return (noise_.empty() ? said : said + noise_[output]) >= Given{};
  }

  // Where it is differentiated: logits say what is drawn into each segment's one slot; noise ends with theirs. What
  // is asked for leans on logits as `Head.leanings` has it.
  void recommend(long t) {
    const long products = firm_.products, offers = call_.offers, noise = call_.noises - firm_.segments * offers;
    std::fill(swayed_.begin(), swayed_.end(), V());
    for (long s = 0; s < firm_.segments; s++) {
      const V *logit = &did_[call_.ordering + s * offers];
      const auto key = [&](long c) {
        return pick(all(call_.may[s * offers + c]) > Given{}, plain(logit[c]), all(-1e9));
      };
      Given best = all(-1e30), place{}, top = all(-1e30);
      for (long c = 0; c < offers; c++) {
        const Given own = key(c), drawn = call_.noise ? own + noise_[noise + s * offers + c] : own;
        place = pick(drawn > best, all(c), place), best = most(drawn, best), top = most(own, top);
      }
      for (long k = 0; k < products; k++) {
        Given &shown = exposure_[s * products + k] = pick(place == all(k), all(1), Given{});
        for (long c = 0; c < call_.choices; c++)
          shown = pick(place == all(c), all(call_.alternatives[c * products + k]), shown);
      }
      if (call_.sways) sway(t, s, logit, key, top, place);
    }
  }

  template <class Key>
  void sway(long t, long segment, const V *logit, const Key &key, Given top, Given place) {
    const long products = firm_.products, offers = call_.offers;
    const double *bought = call_.bought + segment * offers * products;
    Given sum{};
    for (long c = 0; c < offers; c++) {
      chance_[c] = narrow(exponential(wide(most(key(c) - top, all(-80)))));
      sum += chance_[c];
    }
    const Given half = drawn(call_.traffic, t, firm_.segments, segment) * all(0.5) / sum;
    for (long k = 0; k < products; k++) {
      V &units = swayed_[firm_.segment_facing[segment] * products + k];
      Given own{}, gain{};
      for (long c = 0; c < offers; c++) own = pick(place == all(c), all(bought[c * products + k]), own);
      for (long c = 0; c < offers; c++) gain += chance_[c] * (own - all(bought[c * products + k]));
      for (long c = 0; c < offers; c++) {
        const Given away = chance_[c] * (own - all(bought[c * products + k]));
        const Given pull = (pick(place == all(c), gain, Given{}) - away) * half;
        units = V(Given{}, (units + logit[c] * pull).node);
      }
    }
  }

  // Orders that the rules wish, and scores of offers, behind the features.
  void hint(long t) {
    V *hints = &seen_[call_.features];
    for (long i = 0; i < rows_; i++) hints[i] = wish_[i] / all(call_.spread[i]);
    if (call_.offers) {
      make_available();
      customers_.appraise(t, available_), customers_.scores(call_.score_unit, scores_.data());
      std::copy(scores_.begin(), scores_.end(), hints + rows_);
    }
    const long count = (long)seen_.size() - call_.features;
    for (long h = 0; h < count && call_.hinted; h++) keep(call_.hinted, t * count + h, hints[h]);
  }

  template <class W>
  void record(real *field, long t, const std::vector<W> &rows) const {
    for (size_t i = 0; i < rows.size(); i++) keep(field, t * rows.size() + i, rows[i]);
  }

  // What departments are paid by beside money.
  void bring(long t) {
    record(call_.on_hand_after, t, on_hand_), record(call_.unserved, t, unserved_);
    for (long p = 0; p < rows_; p++) keep(call_.held, (t + 1) * rows_ + p, on_hand_[p] + under_way(p, 0, firm_.slots));
    for (long l = firm_.inside; l < lines_; l++)
      keep(call_.demanded, t * (lines_ - firm_.inside) + l - firm_.inside, wanted_[l]);
  }

  // Event 4, too: what is recommended to customers.
  void show(long t) {
    for (size_t i = 0; i < exposure_.size() && call_.exposure; i++)
      exposure_[i] = at(call_.exposure, t * exposure_.size() + i);
    if constexpr (!kTaped)
      if (call_.offered) make_available(), customers_.recommend(t, available_, exposure_);
  }

  void make_available() {
    for (long p = 0; p < rows_; p++) available_[p] = plain(on_hand_[p] + under_way(p, 0, 1));
  }

  // Orders reach suppliers and external demand is drawn: what is wanted on each line, and what leaves from outside.
  void ask(long t) {
    for (long p = 0; p < rows_; p++) {
      const int32_t *edge = firm_.in_edge + firm_.in_start[p];
      const long count = firm_.in_start[p + 1] - firm_.in_start[p];
      const bool chosen = (call_.supplier || firm_.prefer) && count > 1, shared = firm_.upto && !firm_.by_edge;
      const Truth supplier = !chosen ? Truth{} : firm_.prefer ? in_stock(p) : drawn(call_.supplier, t, rows_, p);
      V before{};
      for (long i = 0; i < count; i++) {
        V &placed = (edge[i] < firm_.inside ? wanted_ : leaving_)[edge[i]];
        if (shared && count > 1) {
          const V upto = share_of(order_[p], firm_.upto[edge[i]], Truth{});
          placed = upto - before, before = upto;
        } else if (firm_.by_edge) placed = order_[edge[i]];
        else placed = chosen ? pick(supplier == ::all<Truth>(i), order_[p], V()) : order_[p];
      }
    }
    for (long l = firm_.inside; l < lines_; l++)
      wanted_[l] = drawn(call_.demand, t, lines_ - firm_.inside, l - firm_.inside);
    if (firm_.impatience) promise();
    customers_.buy(t, drawn_, count_, exposure_, wait_, &wanted_[firm_.inside]);
    for (size_t c = 0; c < swayed_.size(); c++) wanted_[firm_.inside + c] += swayed_[c];
    if (!asked_.empty()) std::fill(asked_.begin(), asked_.end(), V());
    for (long l = 0; l < lines_ && !asked_.empty(); l++) asked_[firm_.seller[l]] += wanted_[l];
    for (long i = 0; i < rows_; i++) position_[i] += ordered(i);
    for (long g = 0; g < firm_.groups; g++) {
      const Lines lines = lines_of(g);
      V position = position_[lines.seller];
      for (long i = 0; i < lines.count; i++) position -= wanted_[lines.line[i]];
      position_[lines.seller] = position;
      if (firm_.newest_first) level_held_[lines.seller] = held(lines);
    }
  }

  // The inventory level of a seller when it is served: on hand less what it owes.
  V held(const Lines &lines) {
    V level = on_hand_[lines.seller];
    if (!firm_.ships_first) level += under_way(lines.seller, 0, 1);
    for (long i = 0; i < lines.count; i++) level -= owed_[lines.line[i]];
    return level;
  }

  // What customers who come now are told to wait; see `World.wait`.
  void promise() {
    for (size_t c = 0; c < wait_.size(); c++) {
      const long line = firm_.inside + (long)c, row = firm_.seller[line];
      Given free = plain(on_hand_[row]) - plain(owed_[line]);
      wait_[c] = {};
      for (long slot = 0; slot < firm_.longest; slot++) {
        free += plain(under_way(row, slot, slot + 1));
        wait_[c] += pick(free <= Given{}, all(1), Given{});
      }
    }
  }

  // The first supplier of a row who has the whole order on hand, by preference; else the preferred one.
  Truth in_stock(long row) const {
    const long start = firm_.in_start[row], count = firm_.in_start[row + 1] - start;
    Truth place = ::all<Truth>(firm_.prefer[start]);
    for (long i = count - 1; i >= 0; i--) {
      const long rank = firm_.prefer[start + i], edge = firm_.in_edge[start + rank];
      Truth able = ::all<Truth>(-1);
      if (edge < firm_.inside) able = plain(order_[row]) <= plain(on_hand_[firm_.seller[edge]]);
      if (firm_.shut_row && firm_.shut_row[edge] >= 0) able = able & (plain(aside_[firm_.shut_row[edge]]) == Given{});
      place = pick(able, ::all<Truth>(rank), place);
    }
    return place;
  }

  // Edges are shut or opened: what is ordered there waits, outside or among the supplier's debts.
  void disrupt(long t) {
    for (long d = 0; d < firm_.shut; d++) {
      const long edge = firm_.shut_edge[d];
      const Truth number = drawn(call_.breaks, t, firm_.shut / firm_.products, d / firm_.products);
      const Truth shut = pick(plain(aside_[d]) > Given{}, number >= ::all<Truth>(firm_.break_end[d]),
                              number < ::all<Truth>(firm_.break_start[d]));
      aside_[d] = pick(shut, V(all(1)), V());
      if (edge < firm_.inside) {
        held_back_[d] = pick(shut, owed_[edge] + wanted_[edge], V());
        owed_[edge] = pick(shut, V(), owed_[edge]), wanted_[edge] = pick(shut, V(), wanted_[edge]);
      } else {
        V &waiting = aside_[firm_.waiting_row[d]];
        waiting += leaving_[edge], leaving_[edge] = pick(shut, V(), waiting), waiting = pick(shut, waiting, V());
      }
    }
  }

  // Event 1: what is due.
  void receive(long t) {
    V *now = arriving(0);
    for (long p = 0; p < firm_.perishable; p++) shelf_[p] = on_hand_[firm_.perishing[p]];
    for (long i = 0; i < firm_.edges; i++) on_hand_[firm_.target[i]] += now[i], now[i] = V();
    for (long i = firm_.inside; i < firm_.edges && firm_.at_once; i++) arrive(t, i, leaving_[i]);
  }

  // What leaves on an edge is there at once if it needs no time.
  void arrive(long t, long edge, V units) {
    V &stock = on_hand_[firm_.target[edge]];
    if (call_.lead_time) join(stock, drawn(call_.lead_time, t, firm_.edges, edge) == ::all<Truth>(0), units);
    else if (!firm_.fixed_lead_time[edge]) stock += units;
  }

  // Event 2: backorders first, then in ascending order of inventory position; see `events.fulfil`.
  void fulfil(long t, Served who) {
    for (long g = 0; g < firm_.groups; g++) {
      if (who != kAll && (*lines_of(g).line < firm_.inside) != (who == kInside)) continue;
      serve(lines_of(g));
      if (!firm_.carried) settle(t, lines_of(g));
    }
    for (long i = 0; i < firm_.inside / firm_.products && firm_.carried; i++)
      if (firm_.carried[i] >= 0) cut(shipped_, i, firm_.carried[i], nullptr, false);
    for (long g = 0; g < firm_.groups && firm_.carried; g++) settle(t, lines_of(g));
    if (who == kInside) return;
    if (firm_.emergencies) rescue(t);
    for (long l = firm_.inside; l < lines_ && firm_.lost; l++) lose(t, l);
    for (long d = 0; d < firm_.shut; d++)
      if (firm_.shut_edge[d] < firm_.inside) owed_[firm_.shut_edge[d]] += held_back_[d];
  }

  // First expired, first out; see `environment.aside.ShelfLife`.
  void expire() {
    V *ages = &aside_[firm_.shut + firm_.waiting];
    for (long p = 0; p < firm_.perishable; p++) {
      const long row = firm_.perishing[p], count = firm_.perishable;
      ages[(firm_.life[p] - 1) * count + p] += arrived_[row] - shelf_[p];
      V used = arrived_[row] - on_hand_[row], upto{}, taken{};
      for (long a = 0; a < firm_.ages; a++) {
        V &units = ages[a * count + p];
        upto += units;
        const V now = least(used, upto);
        const V left = units - (now - taken);
        taken = now;
        if (a) ages[(a - 1) * count + p] = left;
        else waste_[row] = left;
      }
      ages[(firm_.ages - 1) * count + p] = V();
      on_hand_[row] -= waste_[row], position_[row] -= waste_[row];
    }
  }

  // What is short comes at once from what a supplier has left; see `environment.Emergencies`.
  void rescue(long t) {
    std::fill(claimed_.begin(), claimed_.end(), V());
    for (long m = 0; m < firm_.emergencies; m++) {
      const long seller = firm_.emergency_seller[m];
      const Truth comes = drawn(call_.emergency, t, firm_.emergencies, m) < ::all<Truth>(firm_.emergency_below[m]);
      const V want = pick(comes, unserved_[firm_.facing_line[firm_.emergency_target[m]]], V());
      delivered_[m] = served(on_hand_[seller] - claimed_[seller], want), claimed_[seller] += want;
    }
    for (long m = 0; m < firm_.emergencies; m++) {
      const long seller = firm_.emergency_seller[m], target = firm_.emergency_target[m];
      const long c = firm_.facing_line[target], l = firm_.inside + c;
      on_hand_[seller] -= delivered_[m], position_[seller] -= delivered_[m], position_[target] += delivered_[m];
      owed_[l] -= delivered_[m], unserved_[c] -= delivered_[m], shipped_[l] += delivered_[m];
    }
  }

  // What of unmet demand is lost.
  void lose(long t, long line) {
    const long c = line - firm_.inside;
    const real parts = firm_.lost[c];
    if (parts == 0) return;
    V lost = owed_[line];
    if (parts < kWhole) {
      const Truth number = drawn(call_.lost, t, lines_ - firm_.inside, c);
      lost = share_of(least(wanted_[line], lost), parts, number);
    }
    position_[firm_.seller[line]] += lost, owed_[line] -= lost;
  }

  void serve(const Lines &lines) {
    const V stock = on_hand_[lines.seller];
    const int how = firm_.rationing ? firm_.rationing[lines.seller] : kInTurn;
    if (lines.count == 1) shipped_[*lines.line] = least(stock, owed_[*lines.line] + wanted_[*lines.line]);
    else if (how == kInTurn) share(stock, lines);
    else ration(stock, lines, how);
  }

  void settle(long t, const Lines &lines) {
    V stock = on_hand_[lines.seller];
    if (firm_.perishable) arrived_[lines.seller] = stock;
    for (long i = 0; i < lines.count; i++) {
      const long l = lines.line[i], c = l - firm_.inside;
      stock -= shipped_[l];
      const V left = owed_[l] + wanted_[l] - shipped_[l];
      if (c >= 0) backlog_[c] = owed_[l], unserved_[c] = left;
      owed_[l] = left;
      if (firm_.at_once && c < 0) arrive(t, l, shipped_[l]);
    }
    if (!handed_.empty()) handed_[lines.seller] = on_hand_[lines.seller] - stock;
    on_hand_[lines.seller] = stock;
  }

  // The lines of a supplier with several; the external one, which comes first within a class, is the last of them.
  void share(V stock, const Lines &lines) {
    const int32_t *line = lines.line;
    const bool newest = firm_.newest_first && firm_.newest_first[lines.seller];
    const std::vector<V> &rank = newest ? level_held_ : position_;
    const std::vector<V> &before = newest ? wanted_ : owed_, &behind = newest ? owed_ : wanted_;  // the two classes
    V ahead{};
    for (long i = 0; i < lines.count; i++) ahead += before[line[i]];
    for (long i = 0; i < lines.count; i++) earlier_[i] = V(), earlier_new_[i] = ahead;
    const long external = line[lines.count - 1], customers = lines.count - (external >= firm_.inside);
    for (long i = 0; i < customers && customers < lines.count; i++)
      earlier_[i] += before[external], earlier_new_[i] += behind[external];
    for (long i = 0; i < customers; i++) {
      const long first = firm_.target[line[i]];
      const V position = rank[first], owed = before[line[i]], wanted = behind[line[i]];
      V earlier = earlier_[i], earlier_new = earlier_new_[i];
      for (long j = i + 1; j < customers; j++) {
        const long l = line[j], second = firm_.target[l];
        V gap = position - rank[second];
        if (firm_.ranks) gap = gap + V(all(firm_.ranks[line[i]] - firm_.ranks[l]));
        const real reach = (real)(firm_.blur[first] + firm_.blur[second]);
        join_before(earlier_[j], gap, owed, reach), join_before(earlier_new_[j], gap, wanted, reach);
        join_behind(earlier, gap, before[l], reach), join_behind(earlier_new, gap, behind[l], reach);
      }
      earlier_[i] = earlier, earlier_new_[i] = earlier_new;
    }
    for (long i = 0; i < lines.count; i++) {
      const long l = line[i];
      shipped_[l] = served(stock - earlier_[i], before[l]) + served(stock - earlier_new_[i], behind[l]);
    }
  }

  // The lines of a supplier who shares out scarce stock, each class by itself; see `events.Portions`.
  void ration(V left, const Lines &lines, int how) {
    for (const std::vector<V> *want : {&owed_, &wanted_}) {
      V total{};
      for (long i = 0; i < lines.count; i++) total += (*want)[lines.line[i]];
      if (how == kProportion) in_proportion(plain(left), lines, *want);
      else to_the_neediest(plain(left), lines, *want, how == kLearned);
      if constexpr (kTaped) lean(left, total, lines, *want, how);
      for (long i = 0; i < lines.count; i++) {
        V &shipped = shipped_[lines.line[i]];
        if constexpr (kTaped) shipped = want == &owed_ ? part_[i] : shipped + part_[i];
        else shipped = want == &owed_ ? portion_[i] : shipped + portion_[i];
      }
      left = most(left - total, V());
    }
  }

  // In proportion to what they want.
  void in_proportion(Given stock, const Lines &lines, const std::vector<V> &want) {
    const Wide left = wide(stock);
    Wide total{}, sum{}, before{};
    for (long i = 0; i < lines.count; i++) total += wide(want[lines.line[i]]);
    for (long i = 0; i < lines.count; i++) {
      sum += wide(want[lines.line[i]]);
      const Wide whole = portion(left, sum, total);
      portion_[i] = narrow(whole - before), before = whole;
    }
  }

  // Unit by unit to whom most is missing; where that is `decided`, it counts as more by its precedence.
  void to_the_neediest(Given stock, const Lines &lines, const std::vector<V> &want, bool decided) {
    for (long j = 0; j < count_; j++) {
      const double left = plain(stock, j);
      const auto wanted = [&](long i) { return plain(want[lines.line[i]], j); };
      const auto more = [&](long i) {
        return decided ? plain(order_[orders_ + firm_.precedence_row[lines.line[i]]], j) : 0;
      };
      const auto given = [&](long i, double missing) {
        return std::min(std::max(wanted(i) + more(i) - missing, 0.0), wanted(i));
      };
      const auto above = [&](double missing) {
        double sum = 0;
        for (long i = 0; i < lines.count; i++) sum += given(i, missing);
        return sum;
      };
      double few = more(0), missing = wanted(0) + few;  // so much stays missing; less would take more than is left
      for (long i = 1; i < lines.count; i++) {
        few = std::min(few, more(i)), missing = std::max(missing, wanted(i) + more(i));
      }
      few -= 1;
      while (missing - few > 1) {
        const double half = __builtin_floor((few + missing) / 2);
        (above(half) <= left ? missing : few) = half;
      }
      double rest = left - above(missing);
      for (long i = 0; i < lines.count; i++) {
        const bool next = more(i) < missing && wanted(i) + more(i) >= missing && rest > 0;
        portion_[i][j] = (real)(given(i, missing) + next);
        full_[i][j] = more(i) >= missing;
        rest -= next;
      }
    }
  }

  // Portions of a class where they are differentiated: those of equal parts; see `events.Portions`.
  void lean(V left, V total, const Lines &lines, const std::vector<V> &want, int how) {
    const Truth short_of = plain(left) < plain(total);
    const Given one = all(1), all_wanted = ::most(plain(total), one);
    V counted{};
    Given sharing{};
    const auto counts = [&](long i) {
      const V &units = want[lines.line[i]];
      return how == kLearned ? units + order_[orders_ + firm_.precedence_row[lines.line[i]]] : units;
    };
    const auto some = [&](long i) { return pick(portion_[i] > Given{}, one - full_[i], Given{}); };
    for (long i = 0; i < lines.count && how != kProportion; i++) {
      counted += counts(i) * some(i) + want[lines.line[i]] * full_[i], sharing += some(i);
    }
    const V borne = (counted - left) * (one / ::most(sharing, one));
    for (long i = 0; i < lines.count; i++) {
      const V &units = want[lines.line[i]];
      V part;
      if (how == kProportion) {
        const Given share = plain(left) / all_wanted, own = plain(units) / all_wanted;
        part = units * share + left * own - total * (own * share);
      } else part = (counts(i) - borne) * some(i) + units * full_[i];
      part_[i] = V(portion_[i], pick(short_of, part, units).node);
    }
  }

  // What is shipped joins the pipeline.
  void dispatch(long t) {
    std::copy_n(shipped_.begin(), firm_.inside, leaving_.begin());
    Truth more{};
    for (long i = 0; i < firm_.edges; i++) {
      if (firm_.congestion && i % firm_.products == 0) more = slowed(i);
      if (!call_.lead_time && !firm_.congestion) {
        if (const long time = firm_.fixed_lead_time[i]) arriving(time)[i] += leaving_[i];
        continue;
      }
      Truth time = ::all<Truth>(firm_.fixed_lead_time[i]);
      if (call_.lead_time) time = drawn(call_.lead_time, t, firm_.edges, i);
      if (firm_.congestion) time += more;
      for (long slot = 1; slot <= firm_.slots; slot++) join(arriving(slot)[i], time == ::all<Truth>(slot), leaving_[i]);
    }
    if (++slot_ == firm_.slots) slot_ = 0;
  }

  // Periods more that what leaves takes where much is under way on the same edge; see `events.Congested`.
  Truth slowed(long edge) {
    const int64_t *of = firm_.congestion + 2 * (edge / firm_.products);
    Given total{};
    for (long slot = 1; slot < firm_.slots && of[1]; slot++)
      for (long k = 0; k < firm_.products; k++) total += plain(arriving(slot)[edge + k]);
    Truth more{};
    for (long m = 1; m <= of[1]; m++) more -= total >= all((real)(m * of[0]));  // what is true is -1
    return more;
  }

  // Event 3: the money of every point; see `World.account`.
  void account(long t) {
    for (long n = 0; n < firm_.points; n++) {
      V spent{};
      for (long i = n * firm_.products; i < (n + 1) * firm_.products; i++) {
        V money = on_hand_[i] * all(firm_.holding_cost[i]);
        if (call_.cost_factor) money = money * drawn(call_.cost_factor, t, 2 * rows_, i);
        if (const long c = firm_.facing_line[i]; c >= 0) {
          V loss = unserved_[c] * all(firm_.penalty[i]);
          if (call_.cost_factor) loss = loss * drawn(call_.cost_factor, t, 2 * rows_, rows_ + i);
          if (firm_.price) loss -= shipped_[firm_.inside + c] * all(firm_.price[i]);
          money += loss;
        }
        if (firm_.unit_cost && !firm_.by_edge) {
          money += unit_costs(t, i);
          money += pick(order_[i] > Given{}, V(all(firm_.fixed_cost[i])), V());
        } else if (firm_.unit_cost) money += bought(t, i);
        if (firm_.waste_cost) money += waste_[i] * all(firm_.waste_cost[i]);
        if (firm_.unit_emissions) money += emitted(i, i == n * firm_.products);
        if (firm_.joint_cost && i == n * firm_.products) money += joint(n);
        spent += money;
        if (call_.spent) keep(call_.spent, t * rows_ + i, money);
      }
      gather(cost_[n], paid(spent));
    }
  }

  // What the units of an order cost.
  V unit_costs(long t, long order) const {
    const V money = order_[order] * all(firm_.unit_cost[order]);
    return call_.purchase_factor ? money * drawn(call_.purchase_factor, t, 1, 0) : money;
  }

  // What the orders of a point's edges cost.
  V bought(long t, long row) const {
    V sum{};
    for (long i = firm_.in_start[row]; i < firm_.in_start[row + 1]; i++) {
      const long e = firm_.in_edge[i];
      sum += unit_costs(t, e) + pick(order_[e] > Given{}, V(all(firm_.fixed_cost[e])), V());
    }
    return sum;
  }

  // What emissions of shipments to a point cost; those of shipments as such stand with the first product.
  V emitted(long row, bool first) const {
    V sum{};
    for (long i = firm_.in_start[row]; i < firm_.in_start[row + 1]; i++) {
      const long e = firm_.in_edge[i];
      V money = leaving_[e] * all(firm_.unit_emissions[e]);
      if (first) money += V(shipment(e / firm_.products) * all(firm_.shipment_emissions[e / firm_.products]));
      sum += money;
    }
    return sum;
  }

  // 1 where anything left on an edge.
  Given shipment(long edge) const {
    Given any{};
    for (long k = 0; k < firm_.products; k++)
      any = pick(plain(leaving_[edge * firm_.products + k]) > Given{}, all(1), any);
    return any;
  }

  // What the orders of a point cost, whatever they hold; it stands with the first product.
  V joint(long n) const {
    if (!firm_.by_edge) return V(joint_of(n));
    Given sum{};
    for (long row = n * firm_.products, i = firm_.in_start[row]; i < firm_.in_start[row + 1]; i++)
      sum += joint_of(firm_.in_edge[i] / firm_.products);
    return V(sum);
  }
  Given joint_of(long o) const {
    Given cost{};
    for (long i = o * firm_.products; i < (o + 1) * firm_.products; i++)
      cost = pick(order_[i] > Given{}, all(firm_.joint_cost[o]), cost);
    return cost;
  }

  // The sum over products of a point, or of what else has a row for each of them.
  template <class W>
  W over_products(const std::vector<W> &of, long item) const {
    W sum = of[item * firm_.products];
    for (long k = 1; k < firm_.products; k++) sum += of[item * firm_.products + k];
    return sum;
  }

  // Sums of what the episode's measures are the means of, in the order of `compiled._measures`. Units of a copy are
  // whole and their sums exact as long as they are below 2^24; of squares they are not for long.
  void measure() {
    const long points = firm_.points, facing = firm_.facing, sold = facing * firm_.products;
    for (long i = 0; i < rows_; i++) tally_[i] += on_hand_[i];
    for (long n = 0; n < points; n++) {
      Given *of = &tally_[rows_ + n];
      V all_ordered = ordered(n * firm_.products);
      for (long k = 1; k < firm_.products; k++) all_ordered += ordered(n * firm_.products + k);
      const V asked = over_products(asked_, n);
      of[0] += all_ordered, gather(squares_[n], all_ordered * all_ordered);
      of[2 * points] += asked, gather(squares_[points + n], asked * asked);
      if (firm_.perishable) of[4 * points] += over_products(waste_, n);
    }
    Given *of = &tally_[rows_ + 5 * points];
    for (long row = 0; row < sold; row++) {
      of[row] += wanted_[firm_.inside + row];
      of[sold + row] += most(shipped_[firm_.inside + row] - backlog_[row], V());
    }
    of += 3 * sold;  // cycles lie between
    Given *leaves = of + 2 * facing;
    for (long e = 0; e < firm_.edges; e++) leaves[e] += leaving_[e];
    leaves += firm_.edges;
    for (long e = 0; e < firm_.edges / firm_.products; e++) leaves[e] += shipment(e);
    leaves += firm_.edges / firm_.products;
    for (const Given &units : customers_.bought()) *leaves++ += units;
    for (long c = 0; c < facing; c++) {
      const V unserved = over_products(unserved_, c);
      of[c] += unserved, of[facing + c] += pick(unserved == V{}, all(1), V{});
    }
  }

  // Replenishment cycles that end in a period, and whether anything was short in them; see `Network.cycle_ends`.
  void end_cycles(long t) {
    const long sold = firm_.facing * firm_.products;
    Given *full = &tally_[rows_ + 5 * firm_.points + 2 * sold];
    for (long row = 0; row < sold; row++) {
      short_[row] = pick(plain(unserved_[row]) > Given{}, all(1), short_[row]);
      if (call_.cycle_ends && call_.cycle_ends[t * sold + row] == 0) continue;
      if (t >= call_.counted) full[row] += pick(short_[row] > Given{}, Given{}, all(1));
      short_[row] = Given{};
    }
  }

  // Outages that begin, and periods until no more units are unserved than before; see `Episodes`.
  void recover(long t) {
    Given unserved{}, closed{};
    for (const V &units : unserved_) unserved += plain(units);
    for (long d = 0; d < firm_.shut; d++) closed += plain(aside_[d]);
    const Given begins = pick(closed > Given{}, all(1) - late_, Given{});
    calm_ = pick(begins > Given{}, before_, calm_);
    const Given recovers = pick(unserved > calm_, late_, Given{});
    late_ = pick(closed > Given{}, all(1), recovers), before_ = unserved;
    if (t < call_.counted) return;
    Given *of = &tally_[tally_.size() - 2];
    of[0] += begins, of[1] += pick(closed > Given{}, Given{}, recovers);
  }

  const Call &call_;
  const Firm &firm_;
  Customers<V::kCopies / kLanes> customers_;
  const long rows_, lines_, orders_, decisions_;       // of points, lines, orders, and precedence with them, by product
  long first_ = 0, drawn_ = 0, count_ = 0, slot_ = 0;  // the copies; the slot of the ring that arrives next
  std::vector<V> on_hand_, position_;                  // [N K]
  std::vector<V> level_held_;                          // [N K] inventory levels, or nothing where nobody serves by them
  std::vector<V> order_, wish_;                        // [(O + A) K]
  std::vector<V> owed_, wanted_, shipped_, earlier_, earlier_new_;  // [L K]
  std::vector<Given> portion_;              // units of a class, of a supplier's lines who share out scarce stock
  std::vector<Given> full_;                 // 1 where nothing is missing there above what stays missing to others
  std::vector<V> part_;                     // the same units where they are differentiated
  std::vector<V> leaving_, ring_;           // [Ed K] shipped, [slots][Ed K] under way
  std::vector<V> aside_, held_back_;        // see `State.aside`; [D K] what is wanted on edges that are shut
  std::vector<V> shelf_, arrived_, waste_;  // [P K] stock before receipts; [N K] after them; units that expired
  std::vector<V> backlog_, unserved_;       // [C K]
  std::vector<V> claimed_, delivered_;      // [N K] of each seller, and [M K] units that come at once
  std::vector<V> seen_, did_;
  std::vector<Given> noise_, log_prob_, memory_;
  std::vector<Given> level_, reorder_point_;
  std::vector<Given> exposure_;            // [S K]
  std::vector<Given> wait_;                // [C K] periods, or nothing where nobody minds
  std::vector<Given> available_, scores_;  // [N K] on hand or next to arrive, and [S offers], for offers
  std::vector<V> asked_;                   // [N K] of each point, or nothing where nobody wants to know
  std::vector<V> handed_;                  // [N K] likewise
  std::vector<Given> fits_;                // [K] what is left of orders or shipments that share something
  std::vector<Claim> claims_;              // [K] of one copy
  std::vector<Wide> forecast_;             // [N K] units a period of season 1
  std::vector<V> follows_, swayed_;        // [N K] what forecasts were made of; [C K] nothing, but what demand leans on
  std::vector<Given> chance_;              // [offers] times the sum of all
  std::vector<Given> short_;               // [C K] whether anything was short in the cycle
  Given calm_, late_, before_;             // units unserved before an outage; 1 until recovered; unserved a period ago
  std::vector<Wide> cost_, squares_;       // [N] money; [2 N] of orders and of what was asked
  std::vector<Given> tally_;               // measures; nothing where squares go
};
