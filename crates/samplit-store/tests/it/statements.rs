//! The list of statements and the modules that declare them.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_list_holds_the_statements_of_every_module() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut declared = BTreeSet::new();
    for file in std::fs::read_dir(src).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let blocks = text.split("\nstatements! {\n").skip(1);
        for block in blocks.map(|rest| rest.split("\n}\n").next().unwrap()) {
            // A declaration stands four spaces in, and its name is in capitals.
            let names = block.lines().filter_map(|line| {
                let (name, _) = line.strip_prefix("    ")?.split_once(" = ")?;
                name.chars()
                    .all(|letter| letter.is_ascii_uppercase() || letter == '_')
                    .then(|| name.to_owned())
            });
            let before = declared.len();
            declared.extend(names);
            assert!(declared.len() > before, "no statement read from {block}");
        }
    }
    let listed: BTreeSet<String> = samplit_store::statements()
        .iter()
        .map(|statement| statement.name.to_owned())
        .collect();
    assert_eq!(listed, declared);
}
