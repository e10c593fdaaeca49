//! The checkpoint that is remembered between two looks, as a file that is whole at any moment.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::Context as _;
use samplit_audit::{Checkpoint, SignedCheckpoint, VerifyingKey};

/// The checkpoint that was kept, with the note it stands in.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) note: String,
    pub(super) checkpoint: Checkpoint,
}

/// Reads what is kept; nothing where nothing was kept yet.
///
/// # Errors
/// It cannot be read, or is not a checkpoint signed by one of `keys`.
pub(super) fn read(path: &Path, keys: &[VerifyingKey]) -> anyhow::Result<Option<Kept>> {
    let note = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        note => note?,
    };
    let signed = SignedCheckpoint::parse(&note)?;
    signed.verify(keys)?;
    let checkpoint = signed.checkpoint().clone();
    Ok(Some(Kept { note, checkpoint }))
}

/// Keeps `note` in place of what was kept, and returns when it would survive a power cut.
pub(super) fn write(path: &Path, note: &str) -> anyhow::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut name = path.file_name().context("is not a file")?.to_owned();
    name.push(".new");
    let fresh = directory.join(name);
    let mut file = File::create(&fresh)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(directory)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use samplit_audit::{Hash, Signer, checkpoint::sign};

    use super::*;

    #[test]
    fn what_is_kept_is_read_back_under_the_pinned_key_only() {
        let signer = Signer::from_seed("o.example", &[1; 32]).unwrap();
        let other = Signer::from_seed("o.example", &[2; 32]).unwrap();
        let keys = [signer.verifying_key().clone()];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        assert!(read(&path, &keys).unwrap().is_none());
        for size in [1, 2] {
            let checkpoint = Checkpoint {
                origin: "o.example/exp/x".to_owned(),
                size,
                root: Hash::of(b""),
            };
            write(
                &path,
                &sign(&checkpoint, std::slice::from_ref(&signer)).unwrap(),
            )
            .unwrap();
            assert_eq!(read(&path, &keys).unwrap().unwrap().checkpoint, checkpoint);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(read(&path, &[other.verifying_key().clone()]).is_err());
        std::fs::write(&path, "").unwrap();
        assert!(read(&path, &keys).is_err());
    }
}
