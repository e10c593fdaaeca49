//! The directory that checkpoints are exported to: `<experiment>/<incarnation>-<size>.note`.
//!
//! A file is written under another name, flushed, renamed, and the directory flushed: it is whole or
//! not there. What is there is never written again. The newest file of each trail is what the guard
//! needs; older ones may be deleted by whoever runs the server.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use samplit_audit::{Checkpoint, SignedCheckpoint};
use samplit_domain::ExperimentId;
use uuid::Uuid;

use super::StoredCheckpoint;
use crate::Error;

/// The directory; every call goes to the file system and back.
#[derive(Clone, Debug)]
pub(crate) struct Directory(PathBuf);

/// A checkpoint that was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) incarnation: i32,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) note: String,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Writes a checkpoint, unless it is there.
    ///
    /// # Errors
    /// The file system refuses, or another checkpoint of that name is there.
    pub(crate) async fn write(&self, checkpoint: StoredCheckpoint, id: Uuid) -> io::Result<()> {
        let folder = self.0.join(checkpoint.experiment_id.to_string());
        let writing = tokio::task::spawn_blocking(move || write(&folder, &checkpoint, id));
        writing.await.map_err(io::Error::other)?
    }

    /// The trails that have files.
    pub(crate) async fn experiments(&self) -> Result<Vec<ExperimentId>, Error> {
        let path = self.0.clone();
        let listing = tokio::task::spawn_blocking(move || {
            let names = names(&path);
            let ids = names.iter().filter_map(|name| {
                let id = name.parse::<ExperimentId>().ok();
                let id = id.filter(|id| id.to_string() == *name);
                if id.is_none() {
                    tracing::warn!(file = ?path.join(name), "is no folder of exported checkpoints");
                }
                id
            });
            ids.collect()
        });
        listing.await.map_err(Error::internal)
    }

    /// Where the checkpoints of a trail are, as `(incarnation, size)`, the newest first.
    pub(crate) async fn list(&self, id: ExperimentId) -> Result<Vec<(i32, u64)>, Error> {
        let folder = self.0.join(id.to_string());
        let listing = tokio::task::spawn_blocking(move || {
            let names = names(&folder);
            let places = names.iter().filter_map(|name| {
                let place = parse_name(name);
                // What begins with a dot was being written when a server was killed.
                if place.is_none() && !name.starts_with('.') {
                    tracing::warn!(file = ?folder.join(name), "is no exported checkpoint");
                }
                place
            });
            let mut places: Vec<_> = places.collect();
            places.sort_unstable_by(|a, b| b.cmp(a));
            places
        });
        listing.await.map_err(Error::internal)
    }

    /// Reads a checkpoint; one that cannot be read or is not what its name says is warned of.
    pub(crate) async fn read(
        &self,
        id: ExperimentId,
        (incarnation, size): (i32, u64),
    ) -> Result<Option<Exported>, Error> {
        let path = self.0.join(id.to_string()).join(name(incarnation, size));
        let reading = tokio::task::spawn_blocking(move || match read(&path, size) {
            Ok((note, checkpoint)) => Some(Exported {
                incarnation,
                checkpoint,
                note,
            }),
            Err(error) => {
                tracing::warn!(file = ?path, %error, "an exported checkpoint cannot be read");
                None
            }
        });
        reading.await.map_err(Error::internal)
    }
}

fn name(incarnation: impl std::fmt::Display, size: u64) -> String {
    format!("{incarnation}-{size}.note")
}

fn parse_name(text: &str) -> Option<(i32, u64)> {
    let (incarnation, size) = text.strip_suffix(".note")?.split_once('-')?;
    let place = (incarnation.parse().ok()?, size.parse().ok()?);
    (place.0 >= 1 && name(place.0, place.1) == text).then_some(place)
}

/// The names in a folder; none where there is no folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(?folder, %error, "exported checkpoints cannot be listed");
            return Vec::new();
        }
    };
    let names = entries.filter_map(|entry| match entry {
        Ok(entry) => Some(entry.file_name().to_string_lossy().into_owned()),
        Err(error) => {
            tracing::warn!(?folder, %error, "exported checkpoints cannot be listed");
            None
        }
    });
    names.collect()
}

fn read(path: &Path, size: u64) -> io::Result<(String, Checkpoint)> {
    let note = fs::read_to_string(path)?;
    let signed = SignedCheckpoint::parse(&note).map_err(io::Error::other)?;
    let checkpoint = signed.checkpoint().clone();
    if checkpoint.size != size || size == 0 {
        return Err(io::Error::other("it is of another size than its name"));
    }
    Ok((note, checkpoint))
}

fn write(folder: &Path, checkpoint: &StoredCheckpoint, id: Uuid) -> io::Result<()> {
    let path = folder.join(name(checkpoint.incarnation, checkpoint.size));
    match fs::read_to_string(&path) {
        Ok(there) if there == checkpoint.note => return Ok(()),
        Ok(_) => {
            let what = format!("{} holds another checkpoint", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if !folder.is_dir() {
        fs::create_dir_all(folder)?;
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    let draft = folder.join(format!(".{id}.tmp"));
    let written = File::create_new(&draft).and_then(|mut file| {
        file.write_all(checkpoint.note.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()
    });
    if written.is_err() {
        // Whatever is left of it; the cause has been told already.
        let _ = fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::{name, parse_name};

    #[test]
    fn a_name_has_one_spelling() {
        assert_eq!(parse_name(&name(2, 900)), Some((2, 900)));
        for foreign in [
            "",
            "1-2",
            "01-2.note",
            "1-+2.note",
            "0-2.note",
            "1-2.note.tmp",
            "a-b.note",
        ] {
            assert_eq!(parse_name(foreign), None, "{foreign}");
        }
    }
}
