//! Thompson sampling with exact propensities, and the statistics of adaptive experiments. Pure.
