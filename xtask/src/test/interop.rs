//! The tests in `interop/`: the official npm clients and a browser against our programs.
//!
//! They are Node's own tests (`*.test.mjs`). What they need to know comes by environment variables:
//! `SOCKEYE_BIN`, `SOCKEYE_INTEROP_SERVER`, `SOCKEYE_ENGINE_SERVER`, `SOCKEYE_WEBSOCKET_SERVER`,
//! `SOCKEYE_WEBSOCKET_CLIENT`, `SOCKEYE_HTTP2`, `SOCKEYE_RECOVERY_SERVER` and `SOCKEYE_SHARED_ROOM` are the programs
//! under test, `CHROMIUM`
//! is the browser, `NGINX` the proxy and
//! `PYTHON` a Python with the packages of `interop/requirements.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{cores, counted};
use crate::process;
use crate::programs::{Profile, Programs};
use crate::python::Environment;
use crate::tally::{Reporter, Tally};
use crate::tools::{Tool, Tools};

/// A copy of the lock file that `node_modules` was installed by. `npm ci` begins by deleting the
/// directory, so an interrupted one leaves no copy behind.
const INSTALLED_BY: &str = "node_modules/.installed-by.json";

/// Installs the clients, builds the servers, runs the tests.
///
/// # Errors
///
/// One of the first two fails, or there is no test.
pub(crate) fn run(tools: &Tools, environment: &Environment) -> Result<Tally, String> {
    let directory = process::root().join("interop");
    let tests = test_files(&directory)?;
    if tests.is_empty() {
        return Err("interop: there is no *.test.mjs".into());
    }
    install_clients(&directory, tools.path(Tool::Npm))?;
    let programs = Programs::build(&["sockeye-cli", "sockeye-interop"], Profile::Dev)?;
    let shared_room = Programs::example("sockeye", "shared-room")?;
    let mut node = Command::new(tools.path(Tool::Node));
    node.current_dir(&directory)
        // By itself it leaves a core free, and with two cores it would run one file at a time.
        .args(["--test", "--test-reporter=spec", &format!("--test-concurrency={}", cores())])
        .args(tests)
        .env("SOCKEYE_BIN", programs.path("sockeye")?)
        .env("SOCKEYE_INTEROP_SERVER", programs.path("sockeye-interop-server")?)
        .env("SOCKEYE_ENGINE_SERVER", programs.path("sockeye-engine-server")?)
        .env("SOCKEYE_WEBSOCKET_SERVER", programs.path("sockeye-websocket-server")?)
        .env("SOCKEYE_HTTP2", programs.path("sockeye-http2")?)
        .env("SOCKEYE_WEBSOCKET_CLIENT", programs.path("sockeye-websocket-client")?)
        .env("SOCKEYE_RECOVERY_SERVER", programs.path("sockeye-recovery-server")?)
        .env("SOCKEYE_SHARED_ROOM", shared_room.path("shared-room")?)
        .env("CHROMIUM", tools.path(Tool::Chromium))
        .env("NGINX", tools.path(Tool::Nginx))
        .env("PYTHON", environment.python())
        // Colours would hide the lines that are counted.
        .env_remove("FORCE_COLOR");
    counted(&mut node, Reporter::Node)
}

fn install_clients(directory: &Path, npm: &Path) -> Result<(), String> {
    let lock = directory.join("package-lock.json");
    let lock = fs::read(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let installed_by = directory.join(INSTALLED_BY);
    if fs::read(&installed_by).is_ok_and(|installed_by| installed_by == lock) {
        println!("interop/node_modules is up to date with its lock file");
        return Ok(());
    }
    process::run(Command::new(npm).current_dir(directory).args(["ci", "--no-audit", "--no-fund"]))?;
    // Missing where the lock file asks for nothing.
    let made = fs::create_dir_all(directory.join("node_modules"));
    made.and_then(|()| fs::write(&installed_by, lock))
        .map_err(|error| format!("{}: {error}", installed_by.display()))
}

/// Every `*.test.mjs`, relative to `directory`, in an order that does not depend on the disk.
fn test_files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(at) = directories.pop() {
        let unreadable = |error| format!("{}: {error}", at.display());
        for entry in fs::read_dir(&at).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().map_err(unreadable)?.is_dir() {
                if name != "node_modules" && name != "target" {
                    directories.push(path);
                }
            } else if name.to_string_lossy().ends_with(".test.mjs") {
                found.push(path.strip_prefix(directory).map_or(path.clone(), Path::to_path_buf));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_found_in_order_and_not_among_the_clients() {
        let root = std::env::temp_dir().join(format!("xtask-interop-{}", std::process::id()));
        for file in ["b/z.test.mjs", "a.test.mjs", "a.mjs", "node_modules/ws/ws.test.mjs"] {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let found = test_files(&root);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found.unwrap(), [PathBuf::from("a.test.mjs"), PathBuf::from("b/z.test.mjs")]);
    }
}
