//! The layers, as the compiler cannot see them: which of our crates may name which.
//!
//! The table below is the one in `ARCHITECTURE.md`. Arrows go down only; a crate that is in neither
//! list is an error, so that a new one gets its place before it gets its first dependency.

use std::path::Path;

use crate::metadata::{Dependency, Metadata, Package};

/// What a crate of the stack may name besides packages of a registry.
enum MayName {
    /// Every crate of a lower layer.
    LowerLayers,
    /// These alone.
    Only(&'static [&'static str]),
}

struct Place {
    package: &'static str,
    layer: u8,
    may_name: MayName,
}

const fn place(package: &'static str, layer: u8) -> Place {
    Place { package, layer, may_name: MayName::LowerLayers }
}

const STACK: &[Place] = &[
    place("sockeye-websocket", 1),
    place("sockeye-outbox", 1),
    place("sockeye-engineio", 2),
    place("sockeye-socketio", 3),
    place("sockeye-hub", 4),
    Place {
        package: "sockeye-net",
        layer: 4,
        may_name: MayName::Only(&["sockeye-websocket", "sockeye-outbox"]),
    },
    place("sockeye-recovery", 5),
    place("sockeye-transport", 5),
    Place {
        package: "sockeye-handler",
        layer: 5,
        may_name: MayName::Only(&["sockeye-websocket", "sockeye-engineio", "sockeye-socketio"]),
    },
    place("sockeye-server", 6),
    place("sockeye", 7),
    place("sockeye-cli", 8),
];

/// Beside the stack: they may name anything of ours, and no crate of the stack may name them.
const BESIDE: &[&str] = &["sockeye-examples", "sockeye-interop", "sockeye-testkit", "xtask"];

/// The one crate beside the stack that the stack's tests may use.
const TESTKIT: &str = "sockeye-testkit";

/// Crates that know no runtime: tokio may not be anywhere below them.
const RUNTIME_FREE: &[&str] = &[
    "sockeye-websocket",
    "sockeye-outbox",
    "sockeye-engineio",
    "sockeye-socketio",
    "sockeye-hub",
    "sockeye-recovery",
];

/// Who wants WebSocket alone takes this crate ..
const PLAIN_WEBSOCKET: &str = "sockeye-net";

/// .. and compiles none of ours but these two with it.
const BELOW_PLAIN_WEBSOCKET: &[&str] = &["sockeye-websocket", "sockeye-outbox"];

/// Every breach of the rules, one line each.
pub(crate) fn check(metadata: &Metadata) -> Vec<String> {
    let mut errors = Vec::new();
    for package in metadata.members() {
        check_declared(metadata, package, &mut errors);
    }
    for name in RUNTIME_FREE {
        check_unreachable(metadata, name, "tokio", "knows no runtime", &mut errors);
    }
    let ours = STACK.iter().map(|place| place.package).chain(BESIDE.iter().copied());
    for name in ours.filter(|name| *name != PLAIN_WEBSOCKET) {
        if !BELOW_PLAIN_WEBSOCKET.contains(&name) {
            let rule = "plain WebSocket compiles websocket, outbox and net alone";
            check_unreachable(metadata, PLAIN_WEBSOCKET, name, rule, &mut errors);
        }
    }
    for package in metadata.packages() {
        if package.source.as_deref().is_some_and(|source| source.starts_with("git+")) {
            errors.push(format!(
                "Cargo.lock: {} comes from a git repository: only registries are reproducible",
                package.name
            ));
        }
    }
    errors
}

fn check_declared(metadata: &Metadata, package: &Package, errors: &mut Vec<String>) {
    let manifest = metadata.manifest(package).display();
    let own = STACK.iter().find(|place| place.package == package.name);
    if own.is_none() && !BESIDE.contains(&package.name.as_str()) {
        errors.push(format!(
            "{manifest}: {} has no place among the layers: add it to xtask/src/lint/layers.rs and ARCHITECTURE.md",
            package.name
        ));
    }
    for dependency in &package.dependencies {
        let Some(path) = &dependency.path else { continue };
        if !metadata.members().any(|member| member.directory() == Path::new(path)) {
            errors.push(format!(
                "{manifest}: {} is a path dependency outside of the workspace",
                dependency.name
            ));
        } else if let Some(own) = own
            && let Some(rule) = breach(own, dependency)
        {
            errors.push(format!(
                "{manifest}: {} may not name {}: {rule}",
                own.package, dependency.name
            ));
        }
    }
}

/// The rule that a dependency on one of ours breaks, if it breaks one.
fn breach(own: &Place, dependency: &Dependency) -> Option<String> {
    if dependency.is_dev() && dependency.name == TESTKIT {
        return None;
    }
    let Some(other) = STACK.iter().find(|place| place.package == dependency.name) else {
        return Some("it stands beside the stack".into());
    };
    if other.layer >= own.layer {
        return Some(format!("layer {} may only name lower ones, not {}", own.layer, other.layer));
    }
    match own.may_name {
        // Tests may look wider, but never upwards.
        MayName::Only(names) if !dependency.is_dev() && !names.contains(&other.package) => {
            Some(format!("of ours it names only {}", names.join(", ")))
        }
        _ => None,
    }
}

fn check_unreachable(
    metadata: &Metadata,
    from: &str,
    to: &str,
    rule: &str,
    errors: &mut Vec<String>,
) {
    let Some(package) = metadata.member(from) else { return };
    if let Some(way) = metadata.way(package, to) {
        let manifest = metadata.manifest(package).display();
        errors.push(format!("{manifest}: {from} reaches {to} ({}): {rule}", way.join(" → ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::fake::workspace;

    /// The one error of a workspace, which must contain every one of `words`.
    #[track_caller]
    fn breaks(packages: &[(&str, &[&str])], words: &[&str]) {
        let errors = check(&workspace(packages));
        assert_eq!(errors.len(), 1, "{errors:?}");
        for word in words {
            assert!(errors[0].contains(word), "{word:?} is not in {errors:?}");
        }
    }

    #[test]
    fn arrows_that_go_down_are_right() {
        let errors = check(&workspace(&[
            ("sockeye-websocket", &["sha1"]),
            ("sockeye-outbox", &["dev:sockeye-testkit"]),
            ("sockeye-engineio", &["sockeye-websocket"]),
            ("sockeye-socketio", &["sockeye-engineio", "dev:sockeye-testkit"]),
            ("sockeye-hub", &["sockeye-outbox", "sockeye-socketio"]),
            ("sockeye-net", &["sockeye-websocket", "sockeye-outbox", "tokio"]),
            ("sockeye-transport", &["sockeye-net", "sockeye-hub", "sockeye-socketio"]),
            ("sockeye-handler", &["sockeye-socketio"]),
            ("sockeye-server", &["sockeye-transport", "sockeye-handler"]),
            ("sockeye", &["sockeye-server"]),
            ("sockeye-cli", &["sockeye"]),
            ("sockeye-testkit", &["sockeye-server"]),
            ("sockeye-interop", &["sockeye"]),
            ("xtask", &[]),
            ("sha1", &[]),
            ("tokio", &[]),
        ]));
        assert_eq!(errors, Vec::<String>::new());
    }

    #[test]
    fn an_arrow_that_goes_up_is_named_with_its_manifest() {
        breaks(
            &[("sockeye-hub", &["sockeye-server"]), ("sockeye-server", &[])],
            &["crates/sockeye-hub/Cargo.toml: ", "sockeye-server", "layer 4"],
        );
    }

    #[test]
    fn an_arrow_to_the_same_layer_is_an_error_also_in_tests() {
        breaks(
            &[("sockeye-outbox", &["dev:sockeye-websocket"]), ("sockeye-websocket", &[])],
            &["sockeye-outbox may not name sockeye-websocket"],
        );
    }

    #[test]
    fn handler_names_the_protocols_alone() {
        breaks(
            &[("sockeye-handler", &["sockeye-hub"]), ("sockeye-hub", &[])],
            &["sockeye-handler may not name sockeye-hub", "names only"],
        );
    }

    #[test]
    fn net_with_another_of_ours_breaks_both_of_its_rules() {
        let errors = check(&workspace(&[
            ("sockeye-net", &["sockeye-websocket", "sockeye-engineio"]),
            ("sockeye-websocket", &[]),
            ("sockeye-engineio", &[]),
        ]));
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].contains("of ours it names only sockeye-websocket, sockeye-outbox"));
        assert!(errors[1].contains("sockeye-net → sockeye-engineio"));
    }

    #[test]
    fn net_may_not_reach_the_hub_through_a_registry_either() {
        breaks(
            &[("sockeye-net", &["sneaky"]), ("sneaky", &["sockeye-hub"]), ("sockeye-hub", &[])],
            &["sockeye-net → sneaky → sockeye-hub", "plain WebSocket"],
        );
    }

    #[test]
    fn tokio_anywhere_below_a_runtime_free_crate_is_an_error() {
        breaks(
            &[("sockeye-hub", &["codec", "dev:tokio"]), ("codec", &["tokio"]), ("tokio", &[])],
            &["crates/sockeye-hub/Cargo.toml", "sockeye-hub → codec → tokio"],
        );
    }

    #[test]
    fn testkit_is_for_tests() {
        breaks(
            &[("sockeye-server", &["sockeye-testkit"]), ("sockeye-testkit", &[])],
            &["sockeye-server may not name sockeye-testkit", "beside the stack"],
        );
    }

    #[test]
    fn a_crate_without_a_place_is_an_error() {
        breaks(&[("sockeye-misc", &[])], &["sockeye-misc has no place"]);
    }

    #[test]
    fn a_path_outside_of_the_workspace_is_an_error() {
        breaks(&[("sockeye-cli", &["sockeye-elsewhere"])], &["sockeye-elsewhere", "outside"]);
    }
}
