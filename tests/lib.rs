//! Scenarios over all crates: real processes (`it`), the laws of the use cases (`laws`), stores held against the model
//! (`model`), and the kill storm (`storm`). The simulation is a package of its own, `chat-sim`.
