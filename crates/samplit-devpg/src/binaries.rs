//! Where PostgreSQL's server programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// Where Debian and its kin keep one folder per major version.
const VERSIONED_ROOT: &str = "/usr/lib/postgresql";

/// Finds the folder with the server programs: `PATH`, then `pg_config`, then the newest version
/// under `/usr/lib/postgresql`.
pub(crate) fn find() -> Result<PathBuf, Error> {
    on_path()
        .or_else(by_pg_config)
        .or_else(|| newest_under(Path::new(VERSIONED_ROOT)))
        .ok_or(Error::BinariesNotFound)
}

fn is_complete(dir: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"]
        .iter()
        .all(|program| dir.join(program).is_file())
}

/// `PATH` may hold links or copies of single programs, so links are followed and the folder they
/// lead to must be complete.
fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|dir| {
        let program = dir.join("initdb").canonicalize().ok()?;
        let dir = program.parent()?;
        is_complete(dir).then(|| dir.to_path_buf())
    })
}

fn by_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let dir = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    is_complete(&dir).then_some(dir)
}

fn newest_under(root: &Path) -> Option<PathBuf> {
    root.read_dir()
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
            let bin = path.join("bin");
            is_complete(&bin).then_some((version, bin))
        })
        .max()
        .map(|(_, bin)| bin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_version_wins() {
        let root = tempfile::tempdir().unwrap();
        for (version, programs) in [
            ("9", &["initdb", "pg_ctl", "postgres"][..]),
            ("15", &["initdb", "pg_ctl", "postgres"][..]),
            ("17", &["initdb"][..]),
        ] {
            let bin = root.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            for program in programs {
                std::fs::write(bin.join(program), "").unwrap();
            }
        }
        assert_eq!(
            newest_under(root.path()),
            Some(root.path().join("15").join("bin"))
        );
    }
}
