// What Python hands over. `environment/boundary.py` reads these declarations: one type a line, names after it.
#pragma once
#include <cstdint>

// A batch of samples and the walk over it: shuffled minibatches, one step of Adam each.
struct Fit {
  int64_t layers;         // length of widths
  const int64_t *widths;  // inputs, hidden units, outputs
  int64_t parameters_count;
  float *parameters, *first, *second, *steps;  // flat vector, Adam's moments and its count
  const float *observation;                    // [samples][inputs]
  const int64_t *order;                        // [epochs][samples], shuffled
  int64_t samples, parts, epochs;
  double learning_rate, max_grad_norm, eps;
};

// A rollout, and where its advantages go; see coordinator/critic/value_function.py.
struct Valued {
  int64_t layers;
  const int64_t *widths;
  const float *parameters, *mean, *scale;  // of the values of all streams
  const float *features, *reward;          // [periods + 1][inputs][copies], [periods][streams][copies]
  const int64_t *stream;                   // those that rewards are of
  int64_t periods, copies, streams, terminated;
  double gamma, lambda;
  float *samples, *target;  // [periods * copies][inputs], [periods * copies][streams]
  float *advantage;         // [streams][periods][copies]
};
