//! The support matrix: `interop/support.json` lists every feature of the official server, what it is here, and
//! the tests that show it. README's table is written from it, and the lint sees that both agree and that each
//! test exists.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde::Deserialize;

use crate::process;

const LIST: &str = "interop/support.json";
const README: &str = "README.md";
const BEGIN: &str =
    "<!-- support: written by `cargo xtask support` from interop/support.json -->\n";
const END: &str = "<!-- support: end -->\n";

/// One part of the official documentation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    title: String,
    features: Vec<Feature>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    /// What Node's users look for.
    node: String,
    /// What it is here, in Markdown; absent if it is not there.
    here: Option<String>,
    /// How it differs, or why it is not there.
    note: Option<String>,
    /// The tests that show it: `file::name`, where the name is that of a Rust function, or a title in
    /// JavaScript.
    #[serde(default)]
    tests: Vec<String>,
}

/// `cargo xtask support`: writes README's table anew.
pub(crate) fn run() -> Result<ExitCode, String> {
    let root = process::root();
    let groups = load(&root)?;
    let path = root.join(README);
    let readme = read(&path)?;
    let written = replace(&readme, &table(&groups))?;
    fs::write(&path, written).map_err(|error| format!("{README}: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with the list, or with README's table of it.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, String> {
    let groups = load(root)?;
    let readme = read(&root.join(README))?;
    let mut findings = Vec::new();
    if replace(&readme, &table(&groups))? != readme {
        findings.push(format!(
            "{README}: the support matrix is not what {LIST} says: run `cargo xtask support`"
        ));
    }
    let mut files = HashMap::new();
    for feature in groups.iter().flat_map(|group| &group.features) {
        let name = &feature.node;
        match &feature.here {
            Some(_) if feature.tests.is_empty() => {
                findings.push(format!("{LIST}: {name}: no test shows it"));
            }
            None if feature.note.is_none() => {
                findings.push(format!("{LIST}: {name}: it does not say why it is not there"));
            }
            _ => {}
        }
        for test in &feature.tests {
            let Some((file, title)) = test.split_once("::") else {
                findings.push(format!("{LIST}: {name}: {test}: it is not a file and a name"));
                continue;
            };
            let text = files
                .entry(file)
                .or_insert_with(|| fs::read_to_string(root.join(file)).unwrap_or_default());
            if !has_test(text, title) {
                findings.push(format!("{LIST}: {name}: there is no test {title:?} in {file}"));
            }
        }
    }
    Ok(findings)
}

/// Whether a file of tests has this one.
fn has_test(text: &str, title: &str) -> bool {
    if text.contains(&format!("fn {title}(")) {
        return true;
    }
    ['"', '`', '\''].iter().any(|quote| text.contains(&format!("{quote}{title}{quote}")))
}

fn load(root: &Path) -> Result<Vec<Group>, String> {
    serde_json::from_str(&read(&root.join(LIST))?).map_err(|error| format!("{LIST}: {error}"))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The table, a part of the documentation at a time, folded: it is long.
fn table(groups: &[Group]) -> String {
    let mut table = String::new();
    for Group { title, features } in groups {
        let there = features.iter().filter(|feature| feature.here.is_some()).count();
        let _ = write!(
            table,
            "<details><summary>{title}: {there} of {}</summary>\n\n| Node | here | |\n|---|---|---|\n",
            features.len()
        );
        for Feature { node, here, note, .. } in features {
            let here = here.as_deref().unwrap_or("–");
            let _ = writeln!(table, "| {node} | {here} | {} |", note.as_deref().unwrap_or(""));
        }
        table.push_str("\n</details>\n");
    }
    table
}

/// The text with another table between its marks.
fn replace(readme: &str, table: &str) -> Result<String, String> {
    let begin = readme.find(BEGIN).map(|at| at + BEGIN.len());
    let end = readme.find(END);
    match (begin, end) {
        (Some(begin), Some(end)) if begin <= end => {
            Ok(format!("{}{table}{}", &readme[..begin], &readme[end..]))
        }
        _ => Err(format!("{README}: the marks of the support matrix are not there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced() {
        let readme = format!("a\n{BEGIN}old\n{END}z\n");
        assert_eq!(replace(&readme, "new\n"), Ok(format!("a\n{BEGIN}new\n{END}z\n")));
        replace("no marks", "new\n").unwrap_err();
    }

    #[test]
    fn tests_are_found_by_their_names() {
        let text = "async fn one_two() {}\ntest(\"three four\", () => {});";
        assert!(has_test(text, "one_two") && has_test(text, "three four"));
        assert!(!has_test(text, "one") && !has_test(text, "three"));
    }
}
