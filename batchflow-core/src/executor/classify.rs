//! The [`Classifier`]: what is done about an error.

use std::fmt;
use std::sync::Arc;

use crate::driver::{ErrorClass, WriteError};
use crate::unwind::catch;

/// Decides what is done about an error, before the class of its
/// [`ErrorKind`](crate::ErrorKind::class) does.
///
/// Any closure is one:
///
/// ```
/// use batchflow_core::{Classifier, ErrorClass, ErrorKind, WriteError};
///
/// // A trigger of ours raises P0001 while a partition is being moved: wait for it.
/// let classifier = |error: &WriteError| match error.code() {
///     Some("P0001") => Some(ErrorClass::Transient),
///     _ => None,
/// };
/// let moving = WriteError::new(ErrorKind::Other).with_code("P0001");
/// assert_eq!(classifier.classify(&moving), Some(ErrorClass::Transient));
/// ```
pub trait Classifier: Send + Sync + 'static {
    /// The error's class; `None` leaves it to the error's kind. So does a panic.
    fn classify(&self, error: &WriteError) -> Option<ErrorClass>;
}

impl<F> Classifier for F
where
    F: Fn(&WriteError) -> Option<ErrorClass> + Send + Sync + 'static,
{
    fn classify(&self, error: &WriteError) -> Option<ErrorClass> {
        self(error)
    }
}

/// The user's classifier, if there is one, then the dictionary.
#[derive(Clone, Default)]
pub(crate) struct Classes(pub(crate) Option<Arc<dyn Classifier>>);

impl Classes {
    pub(crate) fn of(&self, error: &WriteError) -> ErrorClass {
        let own = self.0.as_ref().and_then(|own| catch(|| own.classify(error)).ok().flatten());
        own.unwrap_or_else(|| error.kind().class())
    }
}

/// Classifies the errors of one report: one that many rows share, once.
pub(super) struct Classifying<'a> {
    classes: &'a Classes,
    last: Option<(WriteError, ErrorClass)>,
}

impl<'a> Classifying<'a> {
    pub(super) fn new(classes: &'a Classes) -> Self {
        Self { classes, last: None }
    }

    /// The error's class, and whether it is the error that was asked about just before.
    pub(super) fn of(&mut self, error: &WriteError) -> (ErrorClass, bool) {
        match &self.last {
            Some((last, class)) if last.is_same(error) => (*class, true),
            _ => {
                let class = self.classes.of(error);
                self.last = Some((error.clone(), class));
                (class, false)
            }
        }
    }
}

impl fmt::Debug for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Classes(custom)" } else { "Classes(standard)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::ErrorKind;

    #[test]
    fn a_classifier_that_panics_or_passes_leaves_the_dictionary() {
        let error = WriteError::new(ErrorKind::Data);
        let of = |own: Arc<dyn Classifier>| Classes(Some(own)).of(&error);
        assert_eq!(of(Arc::new(|_: &WriteError| None)), ErrorClass::Row);
        assert_eq!(of(Arc::new(|_: &WriteError| panic!())), ErrorClass::Row);
        assert_eq!(of(Arc::new(|_: &WriteError| Some(ErrorClass::Systemic))), ErrorClass::Systemic);
        assert_eq!(Classes::default().of(&error), ErrorClass::Row);
    }
}
