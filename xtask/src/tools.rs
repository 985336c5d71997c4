//! The programs that the tests need besides Rust: Node, npm, Chromium, nginx and Python those with
//! other implementations, a C++ compiler the fuzz targets.
//!
//! [`ready`] names every missing one with the line that installs it, installs what it can where it may (root on a
//! system with apt), and fails with one line per program that is missing still.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process;

/// The oldest Node whose test runner can be told how many files to run at a time, which the tests are written for.
const MIN_NODE: (u32, u32) = (20, 10);

/// The oldest Python that the packages in `interop/requirements.txt` are made for: its minor
/// version, behind 3.
const MIN_PYTHON: u32 = 10;

/// Names and places of Chromium and its kin, in the order of preference.
const CHROMIUM: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// Names and places of nginx. It is a server's program, in directories that not every search path
/// holds.
const NGINX: &[&str] = &["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"];

/// Debian's packages ask this program whether they may start the service that they install.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// A program that tests need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// Recent enough.
    Node,
    /// Node's package manager.
    Npm,
    /// Or a browser made of it.
    Chromium,
    /// Which the tests start as a child.
    Nginx,
    /// Recent enough and able to make a virtual environment.
    Python,
    /// A C++ compiler.
    Cxx,
}

/// Where the programs are.
#[derive(Debug, Default)]
pub(crate) struct Tools(BTreeMap<Tool, PathBuf>);

impl Tools {
    /// Where one is that [`ready`] was asked for.
    pub(crate) fn path(&self, tool: Tool) -> &Path {
        self.0.get(&tool).map(PathBuf::as_path).expect("it was asked for")
    }
}

/// Finds the programs, after installing those that it may.
///
/// # Errors
///
/// A program is missing and cannot be installed; each has had its line on standard error.
pub(crate) fn ready(wanted: &[Tool]) -> Result<Tools, String> {
    let (mut found, mut missing) = find(wanted);
    if !missing.is_empty() && is_root() && on_path("apt-get").is_some() {
        for (tool, why) in &missing {
            println!("missing: {}: {why}; to install: {}", tool.name(), tool.install_line());
        }
        install(&missing.into_iter().map(|(tool, _)| tool).collect::<Vec<_>>());
        (found, missing) = find(wanted);
    }
    if missing.is_empty() {
        return Ok(found);
    }
    for (tool, why) in &missing {
        eprintln!("error: {}: {why}; to install: {}", tool.name(), tool.install_line());
    }
    let names: Vec<&str> = missing.iter().map(|(tool, _)| tool.name()).collect();
    Err(format!("cannot run without {}", names.join(", ")))
}

/// Those that are there, and of the others why they are not.
fn find(wanted: &[Tool]) -> (Tools, Vec<(Tool, String)>) {
    let (mut found, mut missing) = (Tools::default(), Vec::new());
    for &tool in wanted {
        match tool.find() {
            Ok(path) => {
                found.0.insert(tool, path);
            }
            Err(why) => missing.push((tool, why)),
        }
    }
    (found, missing)
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Tool::Node => "Node",
            Tool::Npm => "npm",
            Tool::Chromium => "Chromium",
            Tool::Nginx => "nginx",
            Tool::Python => "Python",
            Tool::Cxx => "a C++ compiler",
        }
    }

    /// Where it is, or why it is not good enough.
    fn find(self) -> Result<PathBuf, String> {
        match self {
            Tool::Node => {
                let node = on_path("node").ok_or("not found")?;
                let version = version(&node).ok_or("`node --version` fails")?;
                good_enough(&version).map(|()| node)
            }
            Tool::Npm => {
                let npm = on_path("npm").ok_or("not found")?;
                version(&npm).map(|_| npm).ok_or_else(|| "`npm --version` fails".into())
            }
            Tool::Chromium => {
                if let Some(path) = env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
                    let path = PathBuf::from(path);
                    return version(&path).map(|_| path.clone()).ok_or_else(|| {
                        format!("CHROMIUM is {}, which does not start", path.display())
                    });
                }
                // Some systems ship a stub by this name that only tells how to install it: a
                // browser is found when it starts.
                CHROMIUM
                    .iter()
                    .filter_map(|name| on_path(name))
                    .find(|path| version(path).is_some())
                    .ok_or_else(|| "not found".into())
            }
            Tool::Nginx => {
                if let Some(path) = env::var_os("NGINX").filter(|path| !path.is_empty()) {
                    let path = PathBuf::from(path);
                    return if starts(&path) {
                        Ok(path)
                    } else {
                        Err(format!("NGINX is {}, which does not start", path.display()))
                    };
                }
                NGINX
                    .iter()
                    .filter_map(|name| on_path(name))
                    .find(|path| starts(path))
                    .ok_or_else(|| "not found".into())
            }
            Tool::Python => {
                let python = on_path("python3").ok_or("not found")?;
                let version = version(&python).ok_or("`python3 --version` fails")?;
                recent_python(&version)?;
                // Debian packs it apart.
                let mut venv = Command::new(&python);
                let venv = venv.args(["-c", "import ensurepip, venv"]).stdin(Stdio::null());
                if venv.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
                    Ok(python)
                } else {
                    Err("found without its module for virtual environments".into())
                }
            }
            // What libFuzzer's build looks for. There may be arguments behind the name.
            Tool::Cxx => match env::var("CXX").ok().filter(|cxx| !cxx.trim().is_empty()) {
                Some(cxx) => cxx
                    .split_whitespace()
                    .next()
                    .and_then(on_path)
                    .ok_or_else(|| format!("CXX is {cxx}, which is not found")),
                None => on_path("c++").ok_or_else(|| "not found".into()),
            },
        }
    }

    fn install_line(self) -> String {
        let (major, minor) = MIN_NODE;
        let node = format!(
            "Node {major}.{minor} or newer with npm from https://nodejs.org/en/download (Debian 13 or newer: apt-get install -y --no-install-recommends nodejs npm)"
        );
        let chromium = |command: &str| format!("{command}, or set CHROMIUM to a browser's path");
        let nginx = |command: &str| format!("{command}, or set NGINX to its path");
        match self {
            Tool::Cxx if on_path("apt-get").is_some() => {
                "apt-get install -y --no-install-recommends g++".to_owned()
            }
            Tool::Cxx => "g++ or clang++, or set CXX to one".to_owned(),
            Tool::Node | Tool::Npm => node,
            Tool::Chromium if on_path("apt-get").is_some() => {
                chromium("apt-get install -y --no-install-recommends chromium")
            }
            Tool::Chromium if on_path("dnf").is_some() => chromium("dnf install chromium"),
            Tool::Chromium if on_path("pacman").is_some() => chromium("pacman -S chromium"),
            Tool::Chromium if on_path("brew").is_some() => {
                chromium("brew install --cask google-chrome")
            }
            Tool::Chromium => {
                chromium("https://www.chromium.org/getting-involved/download-chromium")
            }
            Tool::Nginx if on_path("apt-get").is_some() => {
                nginx("apt-get install -y --no-install-recommends nginx")
            }
            Tool::Nginx if on_path("dnf").is_some() => nginx("dnf install nginx"),
            Tool::Nginx if on_path("pacman").is_some() => nginx("pacman -S nginx"),
            Tool::Nginx if on_path("brew").is_some() => nginx("brew install nginx"),
            Tool::Nginx => nginx("https://nginx.org/en/download.html"),
            Tool::Python if on_path("apt-get").is_some() => {
                "apt-get install -y --no-install-recommends python3-venv".into()
            }
            Tool::Python if on_path("dnf").is_some() => "dnf install python3".into(),
            Tool::Python if on_path("pacman").is_some() => "pacman -S python".into(),
            Tool::Python if on_path("brew").is_some() => "brew install python".into(),
            Tool::Python => format!("Python 3.{MIN_PYTHON} or newer from https://www.python.org"),
        }
    }
}

/// Installs with apt what it has in a version that is good enough. What goes wrong is printed; what
/// is missing afterwards is for the caller to find out.
fn install(wanted: &[Tool]) {
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        if let Err(error) = process::run(&mut command) {
            println!("{error}");
        }
    };
    let package = |name: &str| apt(&["install", "-y", "--no-install-recommends", name]);
    apt(&["update"]);
    if wanted.contains(&Tool::Node) || wanted.contains(&Tool::Npm) {
        let policy = process::capture(Command::new("apt-cache").args(["policy", "nodejs"]));
        let policy = String::from_utf8_lossy(&policy.unwrap_or_default()).into_owned();
        match candidate(&policy).map(|version| (version, good_enough(version))) {
            Some((_, Ok(()))) => {
                if wanted.contains(&Tool::Node) {
                    package("nodejs");
                }
                // Looked for again: Node's own packages bring npm along, Debian's do not.
                if Tool::Npm.find().is_err() {
                    package("npm");
                }
            }
            Some((version, Err(_))) => println!("apt has nodejs {version}, which is too old"),
            None => println!("apt has no nodejs"),
        }
    }
    if wanted.contains(&Tool::Cxx) {
        package("g++");
    }
    if wanted.contains(&Tool::Chromium) {
        package("chromium");
    }
    if wanted.contains(&Tool::Nginx) {
        without_services(|| package("nginx"));
    }
    if wanted.contains(&Tool::Python) {
        package("python3-venv");
    }
}

/// Installs something and leaves its service stopped, unless the system has a policy of its own: the
/// tests start their own nginx, on a free port.
fn without_services(install: impl FnOnce()) {
    let ours = !Path::new(POLICY).exists();
    if ours {
        let written = fs::write(POLICY, "#!/bin/sh\nexit 101\n").map_err(|error| error.to_string());
        let executable = || process::run(Command::new("chmod").args(["755", POLICY]));
        if let Err(error) = written.and_then(|()| executable()) {
            println!("{POLICY}: {error}");
        }
    }
    install();
    if ours && let Err(error) = fs::remove_file(POLICY) {
        println!("{POLICY}: {error}");
    }
}

/// The first program of this name on the search path; a name with a directory is looked for there.
fn on_path(name: &str) -> Option<PathBuf> {
    if Path::new(name).is_absolute() {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// What the program answers to `--version`, if it starts.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| version.trim().to_owned())
}

/// Whether nginx starts. It tells its version by `-v` only, and on standard error.
fn starts(nginx: &Path) -> bool {
    let mut command = Command::new(nginx);
    command.arg("-v").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether a version of Node, with or without the leading `v`, will do; if not, why.
fn good_enough(version: &str) -> Result<(), String> {
    let mut numbers = version.trim_start_matches('v').split('.').map(|number| number.parse().ok());
    let found = numbers.next().flatten().zip(numbers.next().flatten());
    let (major, minor) = MIN_NODE;
    match found {
        Some(found) if found >= MIN_NODE => Ok(()),
        _ => Err(format!("{version} found, {major}.{minor} or newer needed")),
    }
}

/// Whether a version of Python, as `Python 3.11.2`, will do; if not, why.
fn recent_python(version: &str) -> Result<(), String> {
    let minor: Option<u32> = version
        .strip_prefix("Python 3.")
        .and_then(|rest| rest.split('.').next())
        .and_then(|minor| minor.parse().ok());
    match minor {
        Some(minor) if minor >= MIN_PYTHON => Ok(()),
        _ => Err(format!("{version} found, 3.{MIN_PYTHON} or newer needed")),
    }
}

/// The version that apt would install, as `apt-cache policy` tells it, without Debian's epoch.
fn candidate(policy: &str) -> Option<&str> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    let version = version.split_once(':').map_or(version, |(_epoch, version)| version);
    (version != "(none)").then_some(version)
}

fn is_root() -> bool {
    process::capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_judged_by_its_version() {
        assert_eq!(good_enough("v20.10.0"), Ok(()));
        assert_eq!(good_enough("v20.9.1"), Err("v20.9.1 found, 20.10 or newer needed".into()));
        assert_eq!(good_enough("24.1.0+dfsg-1"), Ok(()));
        assert_eq!(good_enough("v18.20.4"), Err("v18.20.4 found, 20.10 or newer needed".into()));
        assert!(good_enough("command not found").is_err());
    }

    #[test]
    fn python_is_judged_by_its_minor_version() {
        assert_eq!(recent_python("Python 3.10.0"), Ok(()));
        assert_eq!(recent_python("Python 3.14.0rc1"), Ok(()));
        let old = "Python 3.9.2 found, 3.10 or newer needed";
        assert_eq!(recent_python("Python 3.9.2"), Err(old.into()));
        assert!(recent_python("Python 2.7.18").is_err());
    }

    #[test]
    fn candidate_is_read_from_apts_policy() {
        let policy =
            "nodejs:\n  Installed: (none)\n  Candidate: 18.20.4+dfsg-1~deb12u1\n  Version table:\n";
        assert_eq!(candidate(policy), Some("18.20.4+dfsg-1~deb12u1"));
        assert_eq!(candidate("nodejs:\n  Candidate: 1:20.19.2-1\n"), Some("20.19.2-1"));
        assert_eq!(candidate("nodejs:\n  Candidate: (none)\n"), None);
        assert_eq!(candidate(""), None);
    }

    #[test]
    fn a_program_is_found_by_name_and_by_path() {
        let shell = on_path("sh").unwrap();
        assert_eq!(on_path(shell.to_str().unwrap()), Some(shell));
        assert_eq!(on_path("sockeye-has-no-such-program"), None);
    }

    #[test]
    fn every_tool_has_an_install_line() {
        use Tool::{Chromium, Cxx, Nginx, Node, Npm, Python};
        for tool in [Node, Npm, Chromium, Nginx, Python, Cxx] {
            assert!(!tool.install_line().is_empty() && !tool.install_line().contains('\n'));
        }
    }
}
