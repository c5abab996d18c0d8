// The events of a period, one function each in the order of docs/model.md, for a vector of copies.
//
// `environment.World` does the same with tensors, and here it is done to the bit: units are whole, money is added in the
// same order, and no product and sum are rounded as one. V is R, or Taped where the cost is differentiated.
#pragma once
#include "call.hpp"
#include "lanes.hpp"

template <class V>
class Copies {
 public:
  explicit Copies(const Call &call)
      : call_(call),
        firm_(*call.firm),
        rows_(firm_.points * firm_.products),
        lines_(firm_.inside + firm_.facing * firm_.products),
        on_hand_(rows_),
        position_(rows_),
        order_(rows_),
        wish_(rows_),
        money_(rows_),
        owed_(lines_),
        wanted_(lines_),
        shipped_(lines_),
        earlier_(lines_),
        earlier_new_(lines_),
        leaving_(firm_.edges),
        ring_(firm_.slots * firm_.edges),
        backlog_(lines_ - firm_.inside),
        unserved_(lines_ - firm_.inside),
        seen_(call.features),
        did_(call.outputs),
        level_(call.level ? rows_ : 0),
        reorder_point_(call.reorder_point ? rows_ : 0),
        cost_(firm_.points),
        tally_(call.sums ? 5 * firm_.points + 4 * firm_.facing : 0),
        asked_(call.sums ? firm_.points : 0) {}

  // All periods of the copies from `first` on, as many as fit into a vector.
  void play(long first) {
    first_ = first, count_ = std::min(call_.copies - first, kLanes), slot_ = 0;
    begin();
    for (long t = 0; t < call_.periods; t++) {
      act(t);
      ask(t);
      receive();
      fulfil();
      dispatch(t);
      account(t);
      if (t < call_.counted) continue;
      pay(t);
      if constexpr (std::is_same_v<V, R>)
        if (call_.sums) measure();
    }
    if (call_.seen) look(call_.periods);
    end();
  }

 private:
  template <class T>
  auto at(const T *field, long row) const {
    return load(field + row * call_.copies + first_, count_);
  }
  template <class W>
  void keep(real *field, long row, W value) const {
    store(field + row * call_.copies + first_, value, count_);
  }

  void begin() {
    for (long i = 0; i < rows_; i++) on_hand_[i] = at(call_.on_hand, i), position_[i] = at(call_.inventory_position, i);
    for (long l = 0; l < lines_; l++) owed_[l] = at(call_.owed, l);
    for (size_t i = 0; i < ring_.size(); i++) ring_[i] = at(call_.pipeline, (long)i);
    const auto levels = [&](const real *from, std::vector<R> &to) {
      for (size_t i = 0; i < to.size(); i++) to[i] = call_.level_copies == 1 ? all(from[i]) : at(from, (long)i);
    };
    levels(call_.level, level_), levels(call_.reorder_point, reorder_point_);
    std::fill(cost_.begin(), cost_.end(), D{}), std::fill(tally_.begin(), tally_.end(), D{});
  }

  void end() {
    for (long i = 0; i < rows_; i++)
      keep(call_.on_hand, i, on_hand_[i]), keep(call_.inventory_position, i, position_[i]);
    for (long l = 0; l < lines_; l++) keep(call_.owed, l, owed_[l]);
    for (long k = 0; k < firm_.slots; k++)
      for (long i = 0; i < firm_.edges; i++) keep(call_.pipeline, k * firm_.edges + i, arriving(k)[i]);
    for (long n = 0; n < firm_.points; n++)
      for (long j = 0; j < count_; j++) call_.cost[n * call_.copies + first_ + j] += cost_[n][j];
    for (size_t m = 0; m < tally_.size(); m++)
      for (long j = 0; j < count_; j++) call_.sums[m] += tally_[m][j];
  }

  // What arrives `ahead` periods after the next one, by edge; `ahead` at most the slots.
  V *arriving(long ahead) {
    const long slot = slot_ + ahead;
    return &ring_[(slot < firm_.slots ? slot : slot - firm_.slots) * firm_.edges];
  }

  // Event 4: what every point orders, as the world accepts it.
  void act(long t) {
    if (call_.act) {
      look(t);
      wish(t);
      for (long i = 0; i < rows_; i++) order_[i] = accepted(wish_[i], firm_.max_order[i]);
    } else if (call_.orders) {
      for (long i = 0; i < rows_; i++) order_[i] = at(call_.orders, t * rows_ + i);
    } else {
      for (long i = 0; i < rows_; i++) {
        V wish = level_[i] - compared(i);
        if (call_.reorder_point) wish = pick(position_[i] <= reorder_point_[i], wish, V());
        order_[i] = accepted(wish, firm_.max_order[i]);
      }
    }
  }

  // The position that a level is compared with.
  V compared(long row) const {
    if (!call_.weight) return position_[row];
    V sum{};
    for (long w = call_.weight_start[row]; w < call_.weight_start[row + 1]; w++)
      sum += position_[call_.weight_row[w]] * all(call_.weight[w]);
    return sum;
  }

  // What there is to see, scaled, as `Observer.all_features`: positions, stock, arrivals, units owed.
  void look(long t) {
    long g = 0;
    for (const V &units : position_) seen_[g++] = units;
    for (const V &units : on_hand_) seen_[g++] = units;
    for (long ahead = 0; ahead < call_.arrivals; ahead++, g += rows_) {
      std::fill_n(&seen_[g], rows_, V());
      const long last = ahead == call_.arrivals - 1 ? firm_.slots : ahead + 1;
      for (long k = ahead; k < last; k++)
        for (long i = 0; i < firm_.edges; i++) seen_[g + firm_.target[i]] += arriving(k)[i];
    }
    for (const V &units : owed_) seen_[g++] = units;
    for (g = 0; g < call_.features; g++) {
      seen_[g] = (seen_[g] - V(all(call_.centre[g]))) * all(call_.factor[g]);
      if (call_.cut) seen_[g] = within(seen_[g], -1, 1);
      if (call_.seen) keep(call_.seen, t * call_.features + g, seen_[g]);
    }
  }

  // What is wished: levels less positions, and what the networks' outputs say to that.
  void wish(long t) {
    for (long i = 0; i < rows_; i++) wish_[i] = V(level_[i]) - position_[i];
    decide(call_, seen_, did_);
    for (long j = 0; j < call_.outputs; j++) {
      if (call_.did) {
        did_[j] += V(at(call_.noise, t * call_.outputs + j));
        keep(call_.did, t * call_.outputs + j, did_[j]);
      }
      const R unit = all(call_.unit[j]);
      V &wish = wish_[call_.place[j]];
      wish = call_.residual[j] ? wish + did_[j] * unit : (did_[j] + V(all(1))) * unit;
    }
  }

  // Orders reach suppliers and external demand is drawn: what is wanted on each line, and what leaves from outside.
  void ask(long t) {
    for (long i = 0; i < firm_.edges; i++) {
      const long p = firm_.target[i];
      V placed = order_[p];
      if (call_.supplier && firm_.rank[i] >= 0)
        placed = pick(at(call_.supplier, t * rows_ + p) == all((real)firm_.rank[i]), placed, V());
      (i < firm_.inside ? wanted_ : leaving_)[i] = placed;
    }
    for (long l = firm_.inside; l < lines_; l++)
      wanted_[l] = at(call_.demand, t * (lines_ - firm_.inside) + l - firm_.inside);
    for (long i = 0; i < rows_; i++) position_[i] += order_[i];
    for (long l = 0; l < lines_; l++) position_[firm_.seller[l]] -= wanted_[l];
  }

  // Event 1: what is due.
  void receive() {
    V *now = arriving(0);
    for (long i = 0; i < firm_.edges; i++) on_hand_[firm_.target[i]] += now[i], now[i] = V();
  }

  // Event 2: backorders first, then in ascending order of inventory position; see `events.fulfil`.
  void fulfil() {
    for (long g = 0; g < firm_.groups; g++) {
      const int32_t *line = firm_.group_line + firm_.group_start[g];
      const long count = firm_.group_start[g + 1] - firm_.group_start[g];
      const V stock = on_hand_[firm_.seller[*line]];
      if (count == 1) shipped_[*line] = least(stock, owed_[*line] + wanted_[*line]);
      else share(stock, line, count);
    }
    for (long l = 0; l < lines_; l++) on_hand_[firm_.seller[l]] -= shipped_[l];
    for (long l = 0; l < lines_; l++) {
      const V left = owed_[l] + wanted_[l] - shipped_[l];
      if (l < firm_.inside) {
        owed_[l] = left;
        continue;
      }
      backlog_[l - firm_.inside] = owed_[l], unserved_[l - firm_.inside] = left;
      owed_[l] = firm_.lost ? V() : left;
      if (firm_.lost) position_[firm_.seller[l]] += left;
    }
  }

  // The lines of a supplier with several; the external one, which comes first within a class, is the last of them.
  void share(V stock, const int32_t *line, long count) {
    V *earlier = &earlier_[0], *earlier_new = &earlier_new_[0];
    V backorders{};
    for (long i = 0; i < count; i++) backorders += owed_[line[i]];
    std::fill_n(earlier, count, V()), std::fill_n(earlier_new, count, backorders);
    const long external = line[count - 1], customers = external < firm_.inside ? count : count - 1;
    for (long i = 0; i < customers && customers < count; i++)
      earlier[i] += owed_[external], earlier_new[i] += wanted_[external];
    for (long i = 0; i < customers; i++)
      for (long j = i + 1; j < customers; j++) {
        const long a = line[i], b = line[j], first = firm_.target[a], second = firm_.target[b];
        const V gap = position_[first] - position_[second];
        const real reach = (real)(firm_.blur[first] + firm_.blur[second]);
        earlier[j] += before(gap, owed_[a], reach), earlier_new[j] += before(gap, wanted_[a], reach);
        earlier[i] += behind(gap, owed_[b], reach), earlier_new[i] += behind(gap, wanted_[b], reach);
      }
    for (long i = 0; i < count; i++) {
      const long l = line[i];
      shipped_[l] = served(stock - earlier[i], owed_[l]) + served(stock - earlier_new[i], wanted_[l]);
    }
  }

  // What is shipped joins the pipeline.
  void dispatch(long t) {
    std::copy_n(shipped_.begin(), firm_.inside, leaving_.begin());
    for (long i = 0; i < firm_.edges; i++) {
      if (!call_.lead_time) {
        arriving(firm_.fixed_lead_time[i])[i] += leaving_[i];
        continue;
      }
      const M time = load_whole(call_.lead_time + (t * firm_.edges + i) * call_.copies + first_, count_);
      for (long slot = 1; slot <= firm_.slots; slot++) join(arriving(slot)[i], time == (whole)slot, leaving_[i]);
    }
    if (++slot_ == firm_.slots) slot_ = 0;
  }

  // Event 3: money of every row; see `World.account`.
  void account(long t) {
    for (long i = 0; i < rows_; i++) {
      money_[i] = on_hand_[i] * all(firm_.holding_cost[i]);
      if (call_.cost_factor) money_[i] = money_[i] * at(call_.cost_factor, 2 * t * rows_ + i);
    }
    for (long c = 0; c < lines_ - firm_.inside; c++) {
      const long i = firm_.seller[firm_.inside + c];
      V loss = unserved_[c] * all(firm_.penalty[c]);
      if (call_.cost_factor) loss = loss * at(call_.cost_factor, (2 * t + 1) * rows_ + i);
      if (firm_.price) loss -= shipped_[firm_.inside + c] * all(firm_.price[c]);
      money_[i] += loss;
    }
    for (long i = 0; i < rows_ && firm_.unit_cost; i++) {
      money_[i] += order_[i] * all(firm_.unit_cost[i]);
      money_[i] += pick(order_[i] > R{}, V(all(firm_.fixed_cost[i])), V());
    }
  }

  // The sum over products of a point, or of what else has a row for each of them.
  template <class W>
  W over_products(const std::vector<W> &of, long item) const {
    W sum = of[item * firm_.products];
    for (long k = 1; k < firm_.products; k++) sum += of[item * firm_.products + k];
    return sum;
  }

  void pay(long t) {
    for (long n = 0; n < firm_.points; n++) {
      const V sum = paid(over_products(money_, n));
      cost_[n] += wide(sum);
      if (call_.spent) keep(call_.spent, t * firm_.points + n, sum);
    }
  }

  // Sums of what the episode's measures are the means of, in the order of `MEASURES` and `SERVICE`.
  void measure() {
    const long points = firm_.points, facing = firm_.facing, products = firm_.products;
    std::fill(asked_.begin(), asked_.end(), V());
    for (long l = 0; l < lines_; l++) asked_[firm_.seller[l] / products] += wanted_[l];
    for (long n = 0; n < points; n++) {
      D *of = &tally_[n];
      const V ordered = over_products(order_, n), asked = asked_[n];
      of[0] += wide(over_products(on_hand_, n));
      of[points] += wide(ordered), of[2 * points] += wide(ordered * ordered);
      of[3 * points] += wide(asked), of[4 * points] += wide(asked * asked);
    }
    for (long c = 0; c < facing; c++) {
      D *of = &tally_[5 * points + c];
      V demand{}, at_once{};
      for (long row = c * products; row < (c + 1) * products; row++) {
        const V sold = shipped_[firm_.inside + row];
        demand += wanted_[firm_.inside + row];
        at_once += firm_.lost ? sold : most(sold - backlog_[row], V());
      }
      const V unserved = over_products(unserved_, c);
      of[0] += wide(demand), of[facing] += wide(at_once), of[2 * facing] += wide(unserved);
      of[3 * facing] += wide(pick(unserved == V(), all(1), R{}));
    }
  }

  const Call &call_;
  const Firm &firm_;
  const long rows_, lines_;                     // of points and of lines, by product
  long first_ = 0, count_ = kLanes, slot_ = 0;  // the copies; the slot of the ring that arrives next
  std::vector<V> on_hand_, position_, order_, wish_, money_;                  // [N K]
  std::vector<V> owed_, wanted_, shipped_, earlier_, earlier_new_, leaving_;  // [L K], `leaving_` [Ed K]
  std::vector<V> ring_, backlog_, unserved_;                                  // [slots][Ed K], [C K] twice
  std::vector<V> seen_, did_;
  std::vector<R> level_, reorder_point_;
  std::vector<D> cost_, tally_;
  std::vector<V> asked_;  // [N]
};
