//! What `cargo metadata` says about the workspace, as far as the tasks need it: the packages, what
//! each declares, and what the lock file resolves that to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::process;

/// The answer of `cargo metadata`.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    workspace_root: String,
    target_directory: String,
    resolve: Resolve,
}

/// A package: one of ours, or one of a registry.
#[derive(Deserialize)]
pub(crate) struct Package {
    /// Cargo's id of it, unique in the answer.
    pub(crate) id: String,
    /// Its name, such as `sockeye-hub`.
    pub(crate) name: String,
    /// Where it comes from; none for a local path.
    pub(crate) source: Option<String>,
    /// What its manifest names, optional and platform-bound ones included.
    pub(crate) dependencies: Vec<Dependency>,
    manifest_path: String,
}

/// A dependency as a manifest declares it.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    /// The package's name, also where the manifest renames it.
    pub(crate) name: String,
    /// The directory, when it is a path dependency.
    pub(crate) path: Option<String>,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

const DEV: &str = "dev";

impl Metadata {
    /// Asks cargo, by the lock file as it is.
    ///
    /// # Errors
    ///
    /// Cargo fails (a broken manifest, a lock file that is not up to date) or answers nonsense.
    pub(crate) fn load() -> Result<Self, String> {
        let answer = process::capture(&mut process::cargo([
            "metadata",
            "--format-version=1",
            "--locked",
            "--quiet",
        ]))?;
        Self::parse(&answer)
    }

    /// Reads cargo's answer.
    ///
    /// # Errors
    ///
    /// The answer is not what `--format-version=1` promises.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json)
            .map_err(|error| format!("cargo metadata: unexpected answer: {error}"))
    }

    /// The workspace's own packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Every package of the lock file that the workspace reaches.
    pub(crate) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The workspace's member with this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Package> {
        self.members().find(|package| package.name == name)
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target_directory(&self) -> &Path {
        Path::new(&self.target_directory)
    }

    /// The package's manifest, relative to the workspace where it is inside.
    pub(crate) fn manifest<'a>(&self, package: &'a Package) -> &'a Path {
        let manifest = Path::new(&package.manifest_path);
        manifest.strip_prefix(&self.workspace_root).unwrap_or(manifest)
    }

    /// How `from` comes to compile a package named `to`: the names on the shortest way, both ends
    /// included, or none when it does not.
    ///
    /// Development dependencies are not followed: they are not what a user compiles. Features are
    /// those of the whole workspace and platforms are all platforms, so "none" holds for every
    /// build that the workspace knows.
    pub(crate) fn way<'a>(&'a self, from: &'a Package, to: &str) -> Option<Vec<&'a str>> {
        let edges: BTreeMap<&str, &[Edge]> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), &*node.deps)).collect();
        let names: BTreeMap<&str, &str> =
            self.packages.iter().map(|p| (p.id.as_str(), p.name.as_str())).collect();
        let mut seen = BTreeSet::from([from.id.as_str()]);
        // Breadth first, each entry with its predecessor, so that the way found is a shortest one.
        let mut queue: Vec<(&str, Option<usize>)> = vec![(from.id.as_str(), None)];
        let mut next = 0;
        while let Some(&(id, _)) = queue.get(next) {
            if next > 0 && names.get(id) == Some(&to) {
                let mut way = Vec::new();
                let mut at = Some(next);
                while let Some(&(id, before)) = at.and_then(|at| queue.get(at)) {
                    way.push(names.get(id).copied().unwrap_or(id));
                    at = before;
                }
                way.reverse();
                return Some(way);
            }
            for edge in edges.get(id).copied().unwrap_or_default() {
                if edge.compiled_by_users() && seen.insert(&edge.pkg) {
                    queue.push((&edge.pkg, Some(next)));
                }
            }
            next += 1;
        }
        None
    }
}

impl Package {
    /// The directory of its manifest.
    pub(crate) fn directory(&self) -> PathBuf {
        Path::new(&self.manifest_path).parent().map(Path::to_path_buf).unwrap_or_default()
    }
}

impl Dependency {
    /// Whether only tests, examples and benchmarks use it.
    pub(crate) fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some(DEV)
    }
}

impl Edge {
    fn compiled_by_users(&self) -> bool {
        self.dep_kinds.iter().any(|edge| edge.kind.as_deref() != Some(DEV))
    }
}

/// Makes answers of `cargo metadata` for the tests of those who read them.
#[cfg(test)]
pub(crate) mod fake {
    use super::Metadata;

    /// A workspace in `/w`. Each package is its name and its dependencies; `dev:` in front of a
    /// dependency makes it one for development. A package whose name starts with `sockeye` or that
    /// is `xtask` is a member, any other comes from a registry.
    pub(crate) fn workspace(packages: &[(&str, &[&str])]) -> Metadata {
        let ours = |name: &str| name.starts_with("sockeye") || name == "xtask";
        let mut all = Vec::new();
        let mut members = Vec::new();
        let mut nodes = Vec::new();
        for (name, dependencies) in packages {
            let mut declared = Vec::new();
            let mut edges = Vec::new();
            for dependency in *dependencies {
                let (kind, dependency) = match dependency.strip_prefix("dev:") {
                    Some(dependency) => (r#""dev""#, dependency),
                    None => ("null", *dependency),
                };
                let path = match ours(dependency) {
                    true => format!(r#""/w/crates/{dependency}""#),
                    false => "null".into(),
                };
                declared.push(format!(r#"{{"name":"{dependency}","path":{path},"kind":{kind}}}"#));
                edges.push(format!(
                    r#"{{"pkg":"id {dependency}","dep_kinds":[{{"kind":{kind},"target":null}}]}}"#
                ));
            }
            let source = match ours(name) {
                true => "null",
                false => r#""registry+https://example.org/index""#,
            };
            all.push(format!(
                r#"{{"id":"id {name}","name":"{name}","source":{source},
                "manifest_path":"/w/crates/{name}/Cargo.toml","dependencies":[{}]}}"#,
                declared.join(",")
            ));
            nodes.push(format!(r#"{{"id":"id {name}","deps":[{}]}}"#, edges.join(",")));
            if ours(name) {
                members.push(format!(r#""id {name}""#));
            }
        }
        let json = format!(
            r#"{{"packages":[{}],"workspace_members":[{}],"workspace_root":"/w",
            "target_directory":"/w/target","resolve":{{"nodes":[{}]}},"version":1}}"#,
            all.join(","),
            members.join(","),
            nodes.join(",")
        );
        Metadata::parse(json.as_bytes()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn way_is_a_shortest_one_and_passes_no_development_dependency() {
        let metadata = fake::workspace(&[
            ("sockeye-net", &["hyper", "dev:sockeye-hub"]),
            ("sockeye-hub", &[]),
            ("hyper", &["http", "tokio"]),
            ("http", &["bytes"]),
            ("bytes", &["tokio"]),
            ("tokio", &[]),
        ]);
        let net = metadata.member("sockeye-net").unwrap();
        assert_eq!(metadata.way(net, "tokio"), Some(vec!["sockeye-net", "hyper", "tokio"]));
        assert_eq!(metadata.way(net, "sockeye-hub"), None);
        assert_eq!(metadata.way(net, "sockeye-net"), None);
    }

    #[test]
    fn manifest_is_relative_to_the_workspace() {
        let metadata = fake::workspace(&[("sockeye-hub", &[])]);
        let hub = metadata.member("sockeye-hub").unwrap();
        assert_eq!(metadata.manifest(hub), Path::new("crates/sockeye-hub/Cargo.toml"));
    }

    #[test]
    fn an_answer_of_another_shape_is_an_error() {
        assert!(Metadata::parse(b"{}").is_err());
    }
}
