// Networks of departments and the critic: how they act, what they value, and how they learn.
#include "acting.hpp"
#include "learning.hpp"

extern "C" {

// Networks that act together, on kTogether copies: of each row of `seen` and of what they write a number belongs to
// one. One after the other writes its outputs, or its actions and how probable its choices were.
typedef std::vector<Actor> Actors;
void *actors_new() { return new Actors; }
void actors_free(void *actors) { delete (Actors *)actors; }
void actors_add(void *actors, const Acting *acting) { ((Actors *)actors)->emplace_back(*acting); }
// Forget what was seen: copies start.
void actors_begin(void *actors) {
  for (Actor &actor : *(Actors *)actors) actor.begin();
}
void actors_act(void *actors, const float *seen, float *out) {
  for (Actor &actor : *(Actors *)actors) {
    actor.act(seen, kTogether, kTogether, out);
    out += actor.outputs() * kTogether;
  }
}
void actors_decide(void *actors, const float *seen, const float *noise, float *did, float *log_prob) {
  for (Actor &actor : *(Actors *)actors) {
    actor.act(seen, kTogether, kTogether, actor.output());
    actor.decide(actor.output(), noise, did, log_prob);
    did += actor.actions() * kTogether, log_prob += kTogether;
    if (noise) noise += actor.noise() * kTogether;
  }
}
// Their memories, one after the other.
void actors_memory(void *actors, float *to) {
  for (Actor &actor : *(Actors *)actors) to = std::copy_n(actor.memory(), actor.remembered() * kTogether, to);
}
// Those that learn: gradients by outputs go back to what was seen, and to the networks' parameters.
void actors_learn(void *actors, int64_t actor, const Acting *acting) { ((Actors *)actors)->at(actor).learn(*acting); }
void actors_back(void *actors, const float *seen, const float *by_out, float *by_seen) {
  for (Actor &actor : *(Actors *)actors) by_out = actor.back(seen, by_out, by_seen);
}
void actors_gradient(void *actors, int64_t actor, float *flat) { ((Actors *)actors)->at(actor).gradient(flat); }

// One network, on any number of copies.
void *actor_new(const Acting *acting) { return new Actor(*acting, kAbreast); }
void actor_free(void *actor) { delete (Actor *)actor; }
void actor_decide(void *actor, const Turn *turn) { decide(*(Actor *)actor, *turn); }

// Outputs [samples][outputs] of observations [samples][inputs].
void values(int64_t layers, const int64_t *widths, const Graph *graph, const float *parameters,
            const float *observation, int64_t samples, float *out) {
  Network network(widths, layers, false, graph);
  network.take(parameters);
  const int64_t inputs = widths[0], outputs = widths[layers - 1];
  for (int64_t start = 0; start < samples; start += network.tile_size()) {
    const int64_t count = std::min<int64_t>(network.tile_size(), samples - start);
    for (int64_t s = 0; s < count; s++)
      std::memcpy(network.input() + s * network.input_width(), observation + (start + s) * inputs,
                  inputs * sizeof(float));
    network.forward(count);
    for (int64_t s = 0; s < count; s++)
      std::memcpy(out + (start + s) * outputs, network.output() + s * network.output_width(), outputs * sizeof(float));
  }
}
// Values and generalised advantages, from the last period to the first.
void advantages(const Valued *valued) {
  const Valued &v = *valued;
  Network network(v.widths, v.layers, true, v.graph);
  network.only(v.stream, v.streams);
  network.take(v.parameters);
  const int64_t inputs = v.widths[0], wide = network.input_width(), out = network.output_width();
  const float gamma = (float)v.gamma, decay = (float)(v.gamma * v.lambda);
  Floats next(v.streams * v.copies), following(v.streams * v.copies);  // of the period after: value, advantage
  for (int64_t t = v.periods; t >= 0; t--)
    for (int64_t start = 0; start < v.copies; start += network.tile_size()) {
      const int64_t count = std::min<int64_t>(network.tile_size(), v.copies - start), first = t * v.copies + start;
      for (int64_t i = 0; i < inputs; i++)
        for (int64_t s = 0; s < count; s++)
          network.input()[s * wide + i] = v.features[(t * inputs + i) * v.copies + start + s];
      network.forward(count);
      for (int64_t a = 0; a < v.streams; a++) {
        const int64_t own = v.stream[a];
        float *after = &next[a * v.copies + start], *gain = &following[a * v.copies + start];
        for (int64_t s = 0; s < count; s++) {
          const float value = network.output()[s * out + own] * v.scale[own] + v.mean[own];
          if (t < v.periods) {
            const float reward = v.reward[(t * v.streams + a) * v.copies + start + s];
            gain[s] = reward + gamma * after[s] - value + decay * gain[s];
            v.advantage[(a * v.periods + t) * v.copies + start + s] = gain[s];
            v.target[(first + s) * v.streams + a] = gain[s] + value;
          }
          after[s] = t == v.periods && v.terminated ? 0 : value;
        }
      }
      for (int64_t s = 0; s < count && t < v.periods; s++)
        std::memcpy(v.samples + (first + s) * inputs, network.input() + s * wide, inputs * sizeof(float));
    }
}

void improve_policy(const Fit *fit, const Head *head, const float *action, const float *old_log_prob,
                    const float *advantage, double clip_ratio, double entropy_coef, double target_kl, double *told) {
  improve(*fit, *head, action, old_log_prob, advantage, clip_ratio, entropy_coef, target_kl, told);
}

// Fits some outputs to targets [samples][streams] in squared error, a loss of coefficient times its mean.
// told: sum of losses, first loss, steps taken.
// `before` [samples][streams] and `reach` [streams]: outputs may move no further from those; null: any way.
void fit_values(const Fit *fit, const float *target, int64_t streams, const int64_t *stream, double coefficient,
                const float *before, const float *reach, double *told) {
  Walk walk(*fit, {{target, streams}});
  walk.network.only(stream, streams);
  const int64_t wide = walk.network.output_width();
  Floats aim(kMost * wide), learned(wide), times(wide);  // targets of a tile; which outputs learn, and how many times
  for (int64_t k = 0; k < streams; k++) learned[stream[k]] = 1, times[stream[k]] += 1;
  double loss = 0;
  walk.go(
      [&](const int64_t *index, int64_t count, int64_t size) {
        float *change = walk.network.output_change();
        const float *value = walk.network.output();
        const float weight = (float)(2 * coefficient / ((double)size * streams));
        for (int64_t s = 0; s < count; s++)
          for (int64_t k = 0; k < streams; k++) {
            float goal = target[index[s] * streams + k];
            if (before) {
              const float out = value[s * wide + stream[k]], old = before[index[s] * streams + k];
              const float error = std::clamp(out, old - reach[k], old + reach[k]) - goal;
              if (std::abs(error) > std::abs(out - goal)) loss += error * error, goal = out;  // nothing pulls at it
            }
            aim[s * wide + stream[k]] = goal;
          }
        V squares{};
        for (int64_t s = 0; s < count; s++)
          for (int64_t o = 0; o < wide; o += kLanes) {
            const V error = (load(value + s * wide + o) - load(&aim[s * wide + o])) * load(&learned[o]);
            squares += error * error * load(&times[o]);
            store(change + s * wide + o, error * weight);
          }
        loss += total(squares);
      },
      [&](int64_t size) {
        loss /= (double)size * streams;
        if (!told[2]) told[1] = loss;
        told[0] += loss, told[2] += 1, loss = 0;
        return true;
      });
}
}
