//! Building our own programs, and finding out where cargo has put them.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::process::{self, cargo};

/// The profile that programs are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Built soonest.
    Dev,
    /// As users build.
    Release,
}

/// What cargo told about a build.
pub(crate) struct Programs {
    messages: String,
}

/// A line of cargo's `--message-format=json`, as far as it says where a program is.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Programs {
    /// Builds the programs of these packages.
    ///
    /// # Errors
    ///
    /// They do not build; cargo has said why.
    pub(crate) fn build(packages: &[&str], profile: Profile) -> Result<Self, String> {
        let mut command = cargo(["build", "--locked", "--message-format=json-render-diagnostics"]);
        for package in packages {
            command.args(["--package", package]);
        }
        if profile == Profile::Release {
            command.arg("--release");
        }
        Self::run(&mut command)
    }

    /// Builds an example of a package, soonest.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub(crate) fn example(package: &str, name: &str) -> Result<Self, String> {
        let mut command = cargo(["build", "--locked", "--message-format=json-render-diagnostics"]);
        Self::run(command.args(["--package", package, "--example", name]))
    }

    fn run(command: &mut Command) -> Result<Self, String> {
        let messages = process::capture(command)?;
        Ok(Self { messages: String::from_utf8_lossy(&messages).into_owned() })
    }

    /// Where the program is. Cargo's own word: the path depends on the user's configuration.
    ///
    /// # Errors
    ///
    /// None of the packages has one of this name.
    pub(crate) fn path(&self, name: &str) -> Result<PathBuf, String> {
        self.messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Message>(line).ok())
            .filter(|message| message.target.as_ref().is_some_and(|target| target.name == name))
            .find_map(|message| message.executable)
            .map(PathBuf::from)
            .ok_or_else(|| format!("cargo built no program named {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_path_is_read_from_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"sockeye"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"sockeye"},"executable":"/t/sockeye"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let programs = Programs { messages: messages.into() };
        assert_eq!(programs.path("sockeye"), Ok(PathBuf::from("/t/sockeye")));
        assert!(programs.path("other").is_err());
    }
}
