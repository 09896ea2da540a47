//! The tests that need the servers of several backends at once.

use std::sync::Arc;

use super::backend::{Backend, Kind};
use super::context::Context;
use super::server::Server;
use super::suite::{Against, Suite};
use crate::Error;
use crate::steps::Steps;

/// The same requests to all SQL databases.
static SAME_ROWS: Backend = Backend { name: "postgres,mysql", package: "xtask", server: None };

/// The test, by a part of its name.
const TEST: &str = "the_same_requests_leave_the_same_rows";

/// A server that a test is told of: named by its variable, or started for it.
struct Met {
    url: String,
    label: String,
    /// Taken down after the test.
    _server: Option<Box<dyn Server>>,
}

impl Suite<'_> {
    /// Runs what needs several backends, where all of them are to be tested.
    pub(crate) fn together(&mut self, steps: &mut Steps) {
        let options = self.options();
        let wanted =
            options.tests.is_empty() || options.tests.iter().any(|part| TEST.contains(&**part));
        let names = SAME_ROWS.name.split(',');
        let kinds: Vec<(&'static str, &'static Kind)> = options
            .backends
            .iter()
            .filter(|backend| names.clone().any(|name| name == backend.name))
            .filter_map(|backend| Some((backend.name, backend.server.as_ref()?)))
            .collect();
        if !wanted || kinds.len() < names.count() {
            return;
        }
        let Some(context) = self.context() else { return };
        if let Err(error) = self.meet_all(steps, &context, &kinds) {
            self.fail(format!("{}: {error}", SAME_ROWS.name));
        }
    }

    fn meet_all(
        &mut self,
        steps: &mut Steps,
        context: &Arc<Context>,
        kinds: &[(&'static str, &'static Kind)],
    ) -> Result<(), Error> {
        let mut met = Vec::new();
        for &(name, kind) in kinds {
            match self.meet(context, name, kind)? {
                Ok(server) => met.push((kind.variable, server)),
                // Said already where the backend's own tests were to be run, and counted there.
                Err(missing) => {
                    self.not_run(steps, &SAME_ROWS, "the same rows everywhere", &missing);
                    return Ok(());
                }
            }
        }
        let labels: Vec<&str> = met.iter().map(|(_, server)| &*server.label).collect();
        let against = Against {
            variables: met.iter().map(|(name, server)| (*name, server.url.clone())).collect(),
            server: labels.join(" and "),
            origin: "together".to_owned(),
            variant: None,
            control: None,
            only: vec![TEST.to_owned()],
            skip: None,
        };
        self.run(steps, &SAME_ROWS, against);
        Ok(())
    }

    /// A backend's server, or what is missing for it.
    fn meet(
        &self,
        context: &Arc<Context>,
        name: &str,
        kind: &Kind,
    ) -> Result<Result<Met, String>, Error> {
        if let Some(url) = std::env::var(kind.variable).ok().filter(|url| !url.is_empty()) {
            return Ok(Ok(Met { url, label: name.to_owned(), _server: None }));
        }
        let Some(source) = self.newest(name) else {
            return Ok(Err(format!("no server of {name} was found")));
        };
        let server = source.start(&context.name("together"), false, &[])?;
        Ok(Ok(Met { url: server.url(), label: source.label(), _server: Some(server) }))
    }
}
