//! Makes what should be served so, in a safe order.
//!
//! The [`Manager`] is told whole lists of aspired versions, loads them through
//! their [`Loader`]s, publishes them in the [`Catalog`] and retires what is no
//! longer wanted; the [`StateMonitor`] tells what became of each version.
//! Generic over what is loaded: nothing here knows what a model is.
//! Terms and order of events: TensorFlow Serving's `AspiredVersionsManager`,
//! `AvailabilityPreservingPolicy` and `ServableStateMonitor`.

mod catalog;
mod loader;
mod manager;
mod monitor;
mod state;
mod streams;
mod transition;

pub use catalog::{Catalog, Handle, Miss, Publisher, Reader, Retired};
pub use loader::{Aspired, AspiredVersion, LoadError, Loader};
pub use manager::{Manager, ManagerHandle, Options, Started};
pub use monitor::{StateMonitor, VersionStatus};
pub use state::State;
