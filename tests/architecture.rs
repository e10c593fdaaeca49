//! The arrows between our packages, as ARCHITECTURE.md has them, and no others.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may name whom. A package that is missing here fails the test, too.
const ARROWS: &[(&str, &[&str])] = &[
    ("samplit-domain", &[]),
    ("samplit-bandit", &[]),
    ("samplit-audit", &["samplit-domain"]),
    ("samplit-sql", &[]),
    ("samplit-devpg", &[]),
    ("samplit-store", &["samplit-audit", "samplit-domain"]),
    (
        "samplit-engine",
        &[
            "samplit-audit",
            "samplit-bandit",
            "samplit-domain",
            "samplit-store",
        ],
    ),
    ("samplit-http", &["samplit-domain", "samplit-engine"]),
    (
        "samplit-server",
        &[
            "samplit-audit",
            "samplit-bandit",
            "samplit-devpg",
            "samplit-domain",
            "samplit-engine",
            "samplit-http",
            "samplit-sql",
            "samplit-store",
        ],
    ),
    ("samplit-migrate", &["samplit-sql", "samplit-store"]),
];

/// The pure crates, and what they must never see, however deep.
const PURE: &[&str] = &["samplit-domain", "samplit-bandit", "samplit-audit"];
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "tokio-postgres",
    "deadpool-postgres",
    "hyper",
    "rustls",
];

#[test]
fn packages_name_only_whom_they_may() {
    let metadata = MetadataCommand::new()
        .exec()
        .expect("cargo metadata answers");
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if ["samplit-tests", "samplit-benches"].contains(&name) {
            continue;
        }
        let Some(allowed) = allowed.get(name) else {
            wrong.push(format!("{name} is not in the list"));
            continue;
        };
        for dependency in &package.dependencies {
            let ours = dependency.name.starts_with("samplit-");
            let shipped = dependency.kind != DependencyKind::Development;
            if ours && shipped && !allowed.contains(&dependency.name.as_str()) {
                wrong.push(format!("{name} -> {}", dependency.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that the design does not have: {wrong:?}"
    );
}

#[test]
fn pure_crates_see_no_runtime_database_or_network() {
    let metadata = MetadataCommand::new()
        .exec()
        .expect("cargo metadata answers");
    let resolve = metadata.resolve.as_ref().expect("resolved");
    let name_of = |id| metadata[id].name.as_str();
    for pure in PURE {
        let root = metadata
            .workspace_packages()
            .into_iter()
            .find(|package| package.name.as_str() == *pure)
            .expect("a member");
        let mut open = vec![&root.id];
        let mut seen = Vec::new();
        while let Some(id) = open.pop() {
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            assert!(
                !IMPURE.contains(&name_of(id)),
                "{pure} reaches {}",
                name_of(id)
            );
            let node = resolve
                .nodes
                .iter()
                .find(|node| node.id == *id)
                .expect("a node");
            let shipped = node.deps.iter().filter(|dep| {
                dep.dep_kinds
                    .iter()
                    .any(|kind| kind.kind != DependencyKind::Development)
            });
            open.extend(shipped.map(|dep| &dep.pkg));
        }
    }
}

#[test]
fn http_and_engine_keep_their_distance() {
    let metadata = MetadataCommand::new()
        .exec()
        .expect("cargo metadata answers");
    for (package, banned) in [
        (
            "samplit-http",
            ["tokio-postgres", "deadpool-postgres", "postgres-types"].as_slice(),
        ),
        (
            "samplit-engine",
            ["hyper", "hyper-util", "tokio-postgres", "deadpool-postgres"].as_slice(),
        ),
    ] {
        let found = metadata
            .workspace_packages()
            .into_iter()
            .find(|candidate| candidate.name.as_str() == package)
            .expect("a member");
        for dependency in &found.dependencies {
            let shipped = dependency.kind != DependencyKind::Development;
            assert!(
                !(shipped && banned.contains(&dependency.name.as_str())),
                "{package} names {}",
                dependency.name
            );
        }
    }
}
