//! Rules about source files that no compiler checks: their length, and the `no_std` cores.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code in one file, its unit tests not counted. A file that needs more has two concerns.
const MAX_LINES: usize = 600;

/// Files that must be one, with their own limit.
const LONGER: &[(&str, usize)] = &[
    // Served to browsers as it is: to split it would take a build step.
    ("crates/server/client/socket.io.js", 1_300),
];

/// Sources whose length is looked at.
const EXTENSIONS: &[&str] = &["rs", "js", "mjs"];

/// Directories that hold nothing of ours, or tests, whose tables may be long.
const PASSED_OVER: &[&str] = &["node_modules", "target", "tests"];

/// Layers without I/O, clock and randomness: the compiler proves it, as long as they are `no_std`.
const CORES: &[&str] = &["crates/websocket", "crates/engineio", "crates/socketio"];

/// Every breach below `root`, one line each.
///
/// # Errors
///
/// A file or directory cannot be read.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut errors = Vec::new();
    for file in sources(root)? {
        let text = read(&file)?;
        let shown = file.strip_prefix(root).unwrap_or(&file);
        let limit = limit(shown);
        let lines = code_lines(&text);
        let shown = shown.display();
        if lines > limit {
            errors.push(format!(
                "{shown}: {lines} lines of code, {limit} are the limit: split it by concern"
            ));
        }
        if CORES.iter().any(|core| file.starts_with(root.join(core).join("src")))
            && links_std(&text)
        {
            errors.push(format!("{shown}: a no_std core links std only under #[cfg(test)]"));
        }
    }
    for core in CORES {
        if !read(&root.join(core).join("src/lib.rs"))?.lines().any(|l| l.trim() == "#![no_std]") {
            errors.push(format!("{core}/src/lib.rs: a sans-IO core begins with #![no_std]"));
        }
    }
    Ok(errors)
}

fn limit(file: &Path) -> usize {
    LONGER
        .iter()
        .find(|(longer, _)| file == Path::new(longer))
        .map_or(MAX_LINES, |(_, limit)| *limit)
}

/// The lines above the file's test module.
fn code_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"))
        .unwrap_or(lines.len())
}

/// Whether `std` comes back in by the side door.
fn links_std(text: &str) -> bool {
    let mut before = "";
    let code = text.lines().take(code_lines(text));
    for line in code.map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("extern crate std") && before != "#[cfg(test)]" {
            return true;
        }
        before = line;
    }
    false
}

fn sources(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let unreadable = |error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() && !name.starts_with('.') && !PASSED_OVER.contains(&&*name) {
                directories.push(entry.path());
            } else if kind.is_file()
                && name.rsplit_once('.').is_some_and(|(_, ext)| EXTENSIONS.contains(&ext))
                && !name.ends_with(".test.mjs")
            {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_tests_at_the_end_are_not_counted() {
        let text = "//! Doc.\n#[cfg(test)]\nuse a;\nfn f() {}\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(code_lines(text), 4);
        assert_eq!(code_lines("a\nb"), 2);
        assert_eq!(code_lines(""), 0);
    }

    #[test]
    fn std_is_linked_for_tests_alone() {
        assert!(!links_std("#![no_std]\n#[cfg(test)]\nextern crate std;\nextern crate alloc;"));
        assert!(!links_std("#[cfg(test)]\nmod tests {\n    extern crate std;\n}\n"));
        assert!(links_std("#![no_std]\nextern crate std;"));
        assert!(links_std("#[cfg(feature = \"std\")]\nextern crate std as system;"));
    }

    #[test]
    fn breaches_are_named_by_file() {
        let root = std::env::temp_dir().join(format!("xtask-files-{}", std::process::id()));
        let write = |file: &str, text: &str| {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let long = "x\n".repeat(MAX_LINES + 1);
        write("crates/websocket/src/lib.rs", "//! Doc.\n#![no_std]\n");
        write("crates/websocket/src/frame.rs", "extern crate std;\n");
        write("crates/engineio/src/lib.rs", "#![no_std]\n");
        write("crates/socketio/src/lib.rs", "//! `#![no_std]` in words only\n");
        write("crates/hub/src/room.rs", &long);
        write("crates/hub/src/slot.rs", &"x\n".repeat(MAX_LINES));
        write("crates/hub/tests/room.rs", &long);
        write("interop/node_modules/ws/index.js", &long);
        write("interop/chat.test.mjs", &long);
        write("target/debug/build/out.rs", &long);
        write("client/page.js", &long);
        write(LONGER[0].0, &long);
        let errors = check(&root);
        fs::remove_dir_all(&root).unwrap();
        let files: Vec<String> = errors
            .unwrap()
            .iter()
            .map(|error| error.split(": ").next().unwrap().to_owned())
            .collect();
        assert_eq!(
            files,
            [
                "client/page.js",
                "crates/hub/src/room.rs",
                "crates/websocket/src/frame.rs",
                "crates/socketio/src/lib.rs",
            ]
        );
    }
}
