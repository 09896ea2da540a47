//! A cluster of three nodes.

#[path = "../../../shared/redis_cluster.rs"]
mod redis_cluster;

use super::client::Client;
use crate::Error;
use crate::integration::context::Context;
use crate::integration::server::{Order, Server, Source, Variant};
use redis_cluster::Plan;

/// A cluster of three nodes, each with a third of the slots, met by a client.
#[derive(Debug)]
pub(crate) struct Cluster(pub(crate) Client);

impl Cluster {
    /// Starts the nodes, and makes a cluster of them.
    pub(crate) fn of(context: &Context, source: &dyn Source) -> Result<Box<dyn Server>, Error> {
        let settings = [("cluster-enabled".to_owned(), "yes".to_owned())];
        let start = |_| source.start(&context.name("node"), false, &settings);
        let nodes = (0..3).map(start).collect::<Result<Vec<_>, Error>>()?;
        let ports: Vec<u16> = nodes.iter().map(|node| node.port()).collect();
        let password = nodes.first().map(|node| node.password().to_owned()).unwrap_or_default();
        let plan = Plan { primaries: &ports, replicas: &[], password: &password };
        plan.make()?;
        Ok(Box::new(Nodes { url: plan.url(), nodes }))
    }
}

impl Variant for Cluster {
    fn label(&self) -> String {
        format!("as a cluster of three{}", self.0.label())
    }

    fn tests(&self) -> &'static [&'static str] {
        &["conformance::", "connecting::rows", "layouts::", "verdicts::shared::"]
    }

    fn variables(&self, _shared: &dyn Server) -> Vec<(&'static str, String)> {
        self.0.variables()
    }

    fn start(
        &self,
        context: &Context,
        source: &dyn Source,
        _shared: &dyn Server,
    ) -> Result<Box<dyn Server>, Error> {
        Self::of(context, source)
    }
}

/// The nodes of a cluster, as one.
#[derive(Debug)]
struct Nodes {
    url: String,
    nodes: Vec<Box<dyn Server>>,
}

impl Nodes {
    fn first(&self) -> Option<&dyn Server> {
        self.nodes.first().map(|node| &**node)
    }
}

impl Server for Nodes {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn port(&self) -> u16 {
        self.first().map_or(0, Server::port)
    }

    fn label(&self) -> String {
        self.first().map(Server::label).unwrap_or_default()
    }

    fn password(&self) -> &str {
        self.first().map(Server::password).unwrap_or_default()
    }

    fn obey(&mut self, order: Order) -> Result<(), Error> {
        self.nodes.iter_mut().try_for_each(|node| node.obey(order))
    }

    fn leave(self: Box<Self>) {
        self.nodes.into_iter().for_each(Server::leave);
    }
}
