//! What `cargo metadata` says of the workspace.

use std::path::PathBuf;

use serde_json::Value;

use crate::{Error, cargo};

/// The workspace's build folder and members.
#[derive(Debug)]
pub(crate) struct Workspace {
    target: PathBuf,
    members: Vec<Member>,
}

/// One crate of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Its features without `default`, in order of their names.
    pub(crate) features: Vec<String>,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self, Error> {
        let output =
            cargo::output(cargo::command("metadata").args(["--no-deps", "--format-version=1"]))?;
        Self::parse(&output).ok_or_else(|| "cannot read what `cargo metadata` says".into())
    }

    fn parse(metadata: &str) -> Option<Self> {
        let metadata: Value = serde_json::from_str(metadata).ok()?;
        let packages = metadata["packages"].as_array()?;
        Some(Self {
            target: metadata["target_directory"].as_str()?.into(),
            members: packages.iter().map(Member::parse).collect::<Option<_>>()?,
        })
    }

    /// A folder of its own for a build with other flags, so that neither build undoes the other.
    pub(crate) fn target(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }

    /// The crates that are published: core, the drivers, the adapters.
    pub(crate) fn libraries(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.name != env!("CARGO_PKG_NAME"))
    }

    /// The member called `name`, if the workspace has it.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

impl Member {
    fn parse(package: &Value) -> Option<Self> {
        let features = package["features"].as_object()?.keys();
        Some(Self {
            name: package["name"].as_str()?.to_owned(),
            features: features.filter(|feature| *feature != "default").cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_understood() {
        let workspace = Workspace::load().unwrap();
        let core = workspace.member("batchflow-core").unwrap();
        assert!(core.features.contains(&"testing".to_owned()), "{:?}", core.features);
        assert!(!core.features.contains(&"default".to_owned()));
        assert!(workspace.libraries().all(|member| member.name.starts_with("batchflow-")));
    }
}
