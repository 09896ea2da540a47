//! For tests without a server: [`MemoryDriver`] keeps tables in memory, and [`FaultDriver`] makes
//! any driver fail on order. For tests with one: [`Proxy`] does to its connections what networks
//! do.
//!
//! Time in them is tokio's, so that a test may pause it: minutes of timeouts and retries then
//! pass at once.

mod fault;
mod fault_driver;
mod memory;
mod miscount;
mod probe;
mod proxy;
mod random;
mod rows;
pub(crate) mod store;
mod table;

pub use fault::{Blame, Fault, Gate};
pub use fault_driver::FaultDriver;
pub use memory::MemoryDriver;
pub use miscount::miscount;
pub use probe::Probe;
pub use proxy::{Cut, Direction, Ending, Flow, Head, Proxy};
pub use random::RandomFaults;
pub use table::{Column, Table};
