//! The runs of one call: every version of every backend, directly and in each variant.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend::{Backend, Found, Kind, MissingVariant};
use super::context::Context;
use super::control::{Control, Offer};
use super::options::Options;
use super::report::{self, End, Entry};
use super::run;
use super::server::{Server, Source, Variant};
use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Error, cargo};

/// The runs of one call, and what became of them.
#[derive(Debug)]
pub(crate) struct Suite<'a> {
    options: &'a Options,
    context: Option<Arc<Context>>,
    workspace: &'a Workspace,
    entries: Vec<Entry>,
    failures: Vec<String>,
    missing: Vec<String>,
    /// Servers to be left up.
    kept: Vec<Box<dyn Server>>,
    /// The newest version that was found of each backend's server, by the backend's name.
    newest: Vec<(&'static str, Arc<dyn Source>)>,
}

/// What one run of a crate's tests is against.
#[derive(Debug)]
pub(super) struct Against<'a> {
    /// Names and values of the variables that tell the tests where the server is, and how it is
    /// met.
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) server: String,
    pub(super) origin: String,
    pub(super) variant: Option<String>,
    pub(super) control: Option<&'a Control>,
    /// The tests to run, by parts of their names; empty: all.
    pub(super) only: Vec<String>,
    /// The tests not to run, by parts of their names.
    pub(super) skip: Option<&'static str>,
}

impl<'a> Suite<'a> {
    pub(crate) fn new(workspace: &'a Workspace, options: &'a Options) -> Result<Self, Error> {
        let needs_servers = options.backends.iter().any(|backend| backend.server.is_some());
        let context = if needs_servers { Some(Arc::new(Context::new(workspace)?)) } else { None };
        Ok(Self {
            options,
            context,
            workspace,
            entries: Vec::new(),
            failures: Vec::new(),
            missing: Vec::new(),
            kept: Vec::new(),
            newest: Vec::new(),
        })
    }

    pub(super) fn options(&self) -> &'a Options {
        self.options
    }

    pub(super) fn context(&self) -> Option<Arc<Context>> {
        self.context.clone()
    }

    /// The newest version that was found of a backend's server.
    pub(super) fn newest(&self, backend: &str) -> Option<Arc<dyn Source>> {
        let mut newest = self.newest.iter();
        newest.find_map(|(name, source)| (*name == backend).then(|| Arc::clone(source)))
    }

    pub(super) fn fail(&mut self, why: String) {
        self.failures.push(why);
    }

    /// Runs a backend's tests, however those before it went.
    pub(crate) fn backend(&mut self, steps: &mut Steps, backend: &'static Backend) {
        if self.workspace.member(backend.package).is_none() {
            return;
        }
        let result = match (&backend.server, self.context.clone()) {
            (Some(kind), Some(context)) => self.on_servers(steps, backend, kind, &context),
            _ => {
                self.built_in(steps, backend);
                Ok(())
            }
        };
        if let Err(error) = result {
            // Not a test that failed: the servers could not be had.
            self.failures.push(format!("{}: {error}", backend.name));
        }
    }

    fn built_in(&mut self, steps: &mut Steps, backend: &'static Backend) {
        let against = Against {
            variables: Vec::new(),
            server: backend.name.to_owned(),
            origin: "built in".to_owned(),
            variant: None,
            control: None,
            only: self.options.tests.clone(),
            skip: None,
        };
        self.run(steps, backend, against);
    }

    fn on_servers(
        &mut self,
        steps: &mut Steps,
        backend: &'static Backend,
        kind: &Kind,
        context: &Arc<Context>,
    ) -> Result<(), Error> {
        let found = (kind.find)(context, self.options)?;
        self.newest.extend(found.sources.last().map(|source| (backend.name, Arc::clone(source))));
        let named = std::env::var(kind.variable).ok().filter(|url| !url.is_empty());
        if let Some(url) = named {
            return self.by_url(steps, backend, kind, context, &found, url);
        }
        if let Some(missing) = &found.missing {
            self.not_run(steps, backend, backend.name, missing);
            self.missing.push(format!("{}: {missing}", backend.name));
            return Ok(());
        }
        for current in 0..found.sources.len() {
            self.version(steps, backend, kind, context, &found, current)?;
        }
        if let Some(MissingVariant { label, why }) = &found.missing_variant {
            self.not_run(steps, backend, &format!("{} {label}", backend.name), why);
        }
        Ok(())
    }

    /// Against the server that the variable names; tests that kill servers get others.
    fn by_url(
        &mut self,
        steps: &mut Steps,
        backend: &'static Backend,
        kind: &Kind,
        context: &Arc<Context>,
        found: &Found,
        url: String,
    ) -> Result<(), Error> {
        let skip = found.sources.is_empty().then_some(kind.own_servers);
        if let Some(own) = skip {
            let why = found.missing.as_deref().unwrap_or("none can be started");
            let name = format!("{}: tests {own}", backend.name);
            self.not_run(steps, backend, &name, why);
            self.missing.push(format!("{name}: {why}"));
        }
        let control =
            Control::listen(offer(context, found, found.sources.len().saturating_sub(1)))?;
        let against = Against {
            variables: vec![(kind.variable, url)],
            server: backend.name.to_owned(),
            origin: kind.variable.to_owned(),
            variant: None,
            control: Some(&control),
            only: self.options.tests.clone(),
            skip,
        };
        self.run(steps, backend, against);
        let why = format!("private servers only are tested so: unset {}", kind.variable);
        let missing = found.missing_variant.as_ref().map(|missing| missing.label.to_owned());
        for label in found.variants.iter().map(|variant| variant.label()).chain(missing) {
            self.not_run(steps, backend, &format!("{} {label}", backend.name), &why);
        }
        Ok(())
    }

    /// Against one version, directly and in each variant.
    fn version(
        &mut self,
        steps: &mut Steps,
        backend: &'static Backend,
        kind: &Kind,
        context: &Arc<Context>,
        found: &Found,
        current: usize,
    ) -> Result<(), Error> {
        let source = &found.sources[current];
        let shared = source.start(&context.name("shared"), false, &[])?;
        let control = Control::listen(offer(context, found, current))?;
        let against = |server: &dyn Server, variant: Option<&dyn Variant>, only| {
            let mut variables = vec![(kind.variable, server.url())];
            variables.extend(variant.iter().flat_map(|variant| variant.variables(&*shared)));
            Against {
                variables,
                server: source.label(),
                origin: source.origin(),
                variant: variant.map(Variant::label),
                control: Some(&control),
                only,
                skip: None,
            }
        };
        let tests = self.options.tests.clone();
        self.run(steps, backend, against(&*shared, None, tests.clone()));
        for variant in &found.variants {
            let server = variant.start(context, &**source, &*shared)?;
            let only = if tests.is_empty() {
                variant.tests().iter().map(|part| (*part).to_owned()).collect()
            } else {
                tests.clone()
            };
            self.run(steps, backend, against(&*server, Some(&**variant), only));
            if self.options.keep {
                self.kept.push(server);
            }
        }
        if self.options.keep {
            self.kept.push(shared);
        }
        Ok(())
    }

    pub(super) fn run(
        &mut self,
        steps: &mut Steps,
        backend: &'static Backend,
        against: Against<'_>,
    ) {
        let mut command = cargo::command("test");
        command.args(["--package", backend.package, "--all-features", "--no-fail-fast"]);
        if against.variant.is_some() || !against.only.is_empty() {
            // Documentation is not written to be chosen from.
            command.arg("--tests");
        }
        command.args(["--", "--include-ignored"]).args(&against.only);
        if let Some(skip) = against.skip {
            command.args(["--skip", skip]);
        }
        // Before the URL is added, which holds a password.
        let line = cargo::shown(&command);
        against.tell(&mut command, self.options);
        let mut name = format!("{} on {}", backend.package, against.server);
        if let Some(variant) = &against.variant {
            name = format!("{name} {variant}");
        }
        let started = Instant::now();
        let mut end = None;
        let result = steps.step(&name, &self.options.rerun(backend), || {
            let counts = run::tests(&mut command, &line, self.options.seeds)?;
            let skipped = against.control.map(Control::skipped).unwrap_or_default();
            let note = match skipped.len() {
                0 => format!("{} tests", counts.passed),
                some => format!("{} tests, of which {some} NOT RUN", counts.passed),
            };
            for (test, why) in &skipped {
                println!("!! NOT RUN: {test}: {why}");
            }
            end = Some(End::Passed(counts, skipped));
            Ok(note)
        });
        let end = result.map_or_else(
            |error| {
                self.failures.push(error.to_string());
                End::Failed(error.to_string())
            },
            |()| end.unwrap_or_else(|| End::NotRun(String::new())),
        );
        let Against { server, origin, variant, .. } = against;
        let took = started.elapsed();
        self.entries.push(Entry { backend: backend.name, server, origin, variant, took, end });
    }

    pub(super) fn not_run(&mut self, steps: &mut Steps, backend: &Backend, name: &str, why: &str) {
        steps.not_run(name, why);
        self.entries.push(Entry {
            backend: backend.name,
            server: name.to_owned(),
            origin: String::new(),
            variant: None,
            took: Duration::ZERO,
            end: End::NotRun(why.to_owned()),
        });
    }

    /// Writes the report, leaves up what is to be kept, says where the logs are.
    pub(crate) fn finish(mut self, all_must_run: bool) -> Result<(), Error> {
        if let Some(path) = &self.options.report {
            report::write(path, self.options, &self.entries)?;
        }
        self.leave_kept()?;
        let failed = !self.failures.is_empty();
        if all_must_run {
            self.failures.append(&mut self.missing);
        }
        if let Some(context) = &self.context {
            if failed {
                println!("the servers' logs: {}", context.logs.display());
            } else if !self.options.keep {
                context.drop_logs();
            }
        }
        if self.failures.is_empty() { Ok(()) } else { Err(self.failures.join("\n").into()) }
    }

    fn leave_kept(&mut self) -> Result<(), Error> {
        if self.kept.is_empty() {
            return Ok(());
        }
        if let Some(context) = &self.context {
            context.folder.keep()?;
        }
        println!("\nleft up, until `cargo xtask integration --down`:");
        for server in std::mem::take(&mut self.kept) {
            println!("  {} at {}", server.label(), server.url());
            server.leave();
        }
        Ok(())
    }
}

impl Against<'_> {
    /// Tells the tests what they are against, by the variables they read.
    fn tell(&self, command: &mut Command, options: &Options) {
        for (variable, value) in &self.variables {
            command.env(variable, value);
        }
        if let Some(control) = self.control {
            command.env("BATCHFLOW_SERVERS", control.address().to_string());
        }
        command.env("BATCHFLOW_SEEDS", options.seeds.to_string());
        command.env("BATCHFLOW_FAULT_SEED", options.seed.to_string());
    }
}

fn offer(context: &Arc<Context>, found: &Found, current: usize) -> Offer {
    Offer {
        context: Arc::clone(context),
        sources: found.sources.clone(),
        current,
        poolers: found.poolers.clone(),
    }
}
