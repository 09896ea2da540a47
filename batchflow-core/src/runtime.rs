//! The tokio runtime that is needed, and may not be there.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::driver::{ErrorKind, WriteError};
use crate::unwind::catch;

/// The runtime here, if it has timers; or why there is none.
pub(crate) fn timers() -> Result<Handle, &'static str> {
    let runtime = Handle::try_current().map_err(|_| "there is no tokio runtime here")?;
    // Tokio tells in no other way whether a runtime has timers.
    catch(|| drop(tokio::time::sleep(Duration::ZERO)))
        .map_err(|_| "the tokio runtime has no timers: build it with enable_time")?;
    Ok(runtime)
}

/// The error of who needs timers where there are none.
pub(crate) fn need_timers() -> Result<(), WriteError> {
    let unsupported = |why| WriteError::new(ErrorKind::Unsupported).with_message(why);
    timers().map(drop).map_err(unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_runtime_or_its_timers_there_is_an_error_that_says_so() {
        let why = || need_timers().unwrap_err().to_string();
        assert!(why().contains("there is no tokio runtime here"), "{}", why());
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let plain = builder.build().unwrap().block_on(async { why() });
        assert!(plain.contains("no timers"), "{plain}");
        let timed = builder.enable_time().build().unwrap();
        assert!(timed.block_on(async { need_timers() }).is_ok());
    }
}
