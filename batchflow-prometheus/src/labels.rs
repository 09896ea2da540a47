//! [`Labels`]: what a series is told apart by. Never a value, a statement or an address.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

/// A label and its value, one of a few words.
pub(crate) type Own = (&'static str, &'static str);

/// What a series is told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Labels {
    pub(crate) backend: &'static str,
    pub(crate) flow: Option<Arc<str>>,
    pub(crate) table: Option<Arc<str>>,
    pub(crate) own: [Option<Own>; 2],
}

impl Labels {
    pub(crate) fn new(backend: &'static str, flow: Option<Arc<str>>) -> Self {
        Self { backend, flow, table: None, own: [None; 2] }
    }

    /// The same for one table.
    pub(crate) fn table(mut self, table: Option<Arc<str>>) -> Self {
        self.table = table;
        self
    }

    /// The same with labels of the metric's own.
    pub(crate) fn with<const N: usize>(&self, own: [Own; N]) -> Self {
        let mut labels = self.clone();
        for (place, label) in labels.own.iter_mut().zip(own) {
            *place = Some(label);
        }
        labels
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("backend", self.backend).encode(encoder.encode_label())?;
        if let Some(flow) = &self.flow {
            ("flow", &**flow).encode(encoder.encode_label())?;
        }
        if let Some(table) = &self.table {
            ("table", &**table).encode(encoder.encode_label())?;
        }
        self.own.iter().flatten().try_for_each(|own| own.encode(encoder.encode_label()))
    }
}
