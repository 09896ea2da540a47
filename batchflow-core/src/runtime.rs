//! The tokio runtime that is needed, and may not be there.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::unwind::catch;

/// The runtime here, if it has timers; or why there is none.
pub(crate) fn timers() -> Result<Handle, &'static str> {
    let runtime = Handle::try_current().map_err(|_| "there is no tokio runtime here")?;
    // Tokio tells in no other way whether a runtime has timers.
    catch(|| drop(tokio::time::sleep(Duration::ZERO)))
        .map_err(|_| "the tokio runtime has no timers: build it with enable_time")?;
    Ok(runtime)
}
