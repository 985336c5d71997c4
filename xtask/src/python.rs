//! A virtual environment of Python with the packages that tests use, in cargo's target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::metadata::Metadata;
use crate::process;

/// The packages, each with its version.
const REQUIREMENTS: &str = "interop/requirements.txt";

/// A copy of the requirements that the environment was made by, in its directory. Written last, so
/// that an interrupted installation leaves none behind.
const INSTALLED_BY: &str = "installed-by.txt";

/// A virtual environment.
pub(crate) struct Environment {
    directory: PathBuf,
}

impl Environment {
    /// Makes it with `python`, unless it is there with the packages that are wanted now.
    ///
    /// # Errors
    ///
    /// It cannot be made, or the packages cannot be installed.
    pub(crate) fn ready(python: &Path, metadata: &Metadata) -> Result<Self, String> {
        let requirements = process::root().join(REQUIREMENTS);
        let wanted = fs::read(&requirements)
            .map_err(|error| format!("{}: {error}", requirements.display()))?;
        let environment = Self { directory: metadata.target_directory().join("python") };
        let directory = &environment.directory;
        let installed_by = directory.join(INSTALLED_BY);
        if fs::read(&installed_by).is_ok_and(|installed_by| installed_by == wanted)
            && environment.python().exists()
        {
            println!("{} is up to date with {REQUIREMENTS}", directory.display());
            return Ok(environment);
        }
        process::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(directory))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let mut pip = Command::new(environment.python());
        process::run(pip.args(install).arg("--requirement").arg(&requirements))?;
        fs::write(&installed_by, wanted)
            .map_err(|error| format!("{}: {error}", installed_by.display()))?;
        Ok(environment)
    }

    /// Its Python.
    pub(crate) fn python(&self) -> PathBuf {
        self.directory.join("bin").join("python")
    }
}
