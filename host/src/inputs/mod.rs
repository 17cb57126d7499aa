//! Reads configuration, feeds and facts, and builds the inputs of a policy.
