// What Python hands over. `environment/boundary.py` reads these declarations: one type a line, names after it.
#pragma once
#include <cstdint>

// What outputs mean; see departments/numerics/heads.py.
struct Head {
  int64_t orders, segments, products, slots;
  const float *mask;  // [segments][products] 1: may be recommended, 0: may not; none: everything may
  int64_t scores;     // where in an observation the rule's scores of offers begin, or -1: there are none
  double sharpness;   // what they are multiplied by where they are added to outputs
  int64_t hybrid;     // whether orders are followed by whether they are placed
};

// A supply network that is attended over before the layers; see departments/numerics/graph.py.
struct Graph {
  int64_t nodes, features, constants;  // of a node: rows that it sees, numbers that do not change
  const int64_t *rows, *attends;       // [nodes][features] or -1; [nodes][nodes] 1: one attends to the other, or 0
  const float *constant;               // [nodes][constants]
  int64_t layers, heads, seen;         // leading rows that what comes behind it sees, too
  const int64_t *units;                // [layers]
};

// A network that acts.
struct Acting {
  int64_t layers;           // length of widths
  const int64_t *widths;    // inputs, hidden units, outputs
  int64_t units, stacked;   // of a gated memory that ends the inputs, or 0; observations side by side, or 1
  const float *parameters;  // gates, layers
  const int64_t *rows;    // that it sees of all there is to see, feature by feature one for each clone; none: the first
  int64_t clones, given;  // of the network, one for each product it decides for, or 1; last inputs that stay
  const float *traits;    // [given][clones] as they are
  const Head *head;
  const Graph *graph;  // or none
};

// One period of one network: what it is given, and what it gives.
struct Turn {
  int64_t copies;
  const float *seen, *memory, *noise;         // [observed][copies], [remembered][copies], [noise][copies] or none
  float *output, *action, *log_prob, *after;  // [outputs][copies], [actions][copies], [copies], [remembered][copies]
};

// A batch of sequences and the walk over it: shuffled minibatches, one step of Adam each. Single samples are sequences
// of one period.
struct Fit {
  int64_t layers;         // length of widths
  const int64_t *widths;  // inputs, hidden units, outputs
  int64_t units;          // of a gated memory that ends the inputs, or 0
  const Graph *graph;     // or none
  int64_t parameters_count;
  float *parameters, *first, *second, *steps;  // flat vector, Adam's moments and its count
  const float *observation, *memory;           // [sequences][periods][inputs - units], [sequences][units] before them
  const int64_t *order;                        // [epochs][sequences], shuffled
  int64_t sequences, periods, parts, epochs;
  double learning_rate, max_grad_norm, eps;
};

// A rollout, and where its advantages go; see coordinator/critic/value_function.py.
struct Valued {
  int64_t layers;
  const int64_t *widths;
  const Graph *graph;                      // or none
  const float *parameters, *mean, *scale;  // of the values of all streams
  const float *features, *reward;          // [periods + 1][inputs][copies], [periods][streams][copies]
  const int64_t *stream;                   // those that rewards are of
  int64_t periods, copies, streams, terminated;
  double gamma, lambda;
  float *samples, *target;  // [periods * copies][inputs], [periods * copies][streams]
  float *advantage;         // [streams][periods][copies]
};
