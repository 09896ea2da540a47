//! Drivers for tests: `MemoryDriver` and `FaultDriver`.
