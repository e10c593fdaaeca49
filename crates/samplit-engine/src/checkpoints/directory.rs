//! The directory that checkpoints are exported to: `<experiment>/<incarnation>-<size>.note`.
//!
//! A file is written under another name, flushed, linked to its own, and the directory flushed: it is
//! whole or not there. What is there is never written again, not even by another server at the same
//! moment. The newest file of each trail is what the guard needs; older ones may be deleted by whoever
//! runs the server.
//!
//! The directory itself is made by whoever runs the server, and never here: one that is gone is a
//! disk that is not mounted, and must not look like one on which nothing was ever exported.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use samplit_audit::SignedCheckpoint;
use samplit_domain::ExperimentId;
use uuid::Uuid;

use super::StoredCheckpoint;

/// The largest size of a trail (`2^53 - 1`).
const MAX_SIZE: i64 = (1 << 53) - 1;

/// The directory; every call goes to the file system and back.
#[derive(Clone, Debug)]
pub(crate) struct Directory(PathBuf);

/// What a file is called after. In the order of time within a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) incarnation: i32,
    pub(crate) size: i64,
}

/// A checkpoint that was found in it.
#[derive(Clone, Debug)]
pub(crate) struct Exported {
    pub(crate) place: Place,
    pub(crate) signed: SignedCheckpoint,
    pub(crate) note: String,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Writes a checkpoint, unless it is there.
    ///
    /// # Errors
    /// The file system refuses, or ([`io::ErrorKind::AlreadyExists`]) something else has its name.
    pub(crate) async fn write(&self, checkpoint: StoredCheckpoint, id: Uuid) -> io::Result<()> {
        let root = self.0.clone();
        run(move || write(&root, &checkpoint, id)).await
    }

    /// The trails that have files.
    ///
    /// # Errors
    /// The directory is not there, or cannot be read.
    pub(crate) async fn experiments(&self) -> io::Result<Vec<ExperimentId>> {
        let root = self.0.clone();
        run(move || {
            let names = names(&root)?.into_iter();
            let ids = names.filter_map(|name| {
                let id = name.parse::<ExperimentId>().ok();
                let id = id.filter(|id| id.to_string() == name);
                if id.is_none() {
                    tracing::warn!(file = ?root.join(name), "is no folder of exported checkpoints");
                }
                id
            });
            Ok(ids.collect())
        })
        .await
    }

    /// Where the checkpoints of a trail are, the newest first; none where it has no folder.
    ///
    /// # Errors
    /// The directory is not there, or it or the folder cannot be read.
    pub(crate) async fn list(&self, id: ExperimentId) -> io::Result<Vec<Place>> {
        let root = self.0.clone();
        run(move || {
            let folder = root.join(id.to_string());
            let names = match names(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // The folder may be missing, the directory must not.
                    fs::read_dir(&root)?;
                    return Ok(Vec::new());
                }
                names => names?,
            };
            let places = names.iter().filter_map(|name| {
                let place = Place::parse(name);
                // What begins with a dot was being written when a server was killed.
                if place.is_none() && !name.starts_with('.') {
                    tracing::warn!(file = ?folder.join(name), "is no exported checkpoint");
                }
                place
            });
            let mut places: Vec<_> = places.collect();
            places.sort_unstable_by(|a, b| b.cmp(a));
            Ok(places)
        })
        .await
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// It is gone or cannot be read, or ([`io::ErrorKind::InvalidData`]) is not what its name says.
    pub(crate) async fn read(&self, id: ExperimentId, place: Place) -> io::Result<Exported> {
        let path = self.0.join(id.to_string()).join(place.name());
        run(move || read(&path, place)).await
    }
}

async fn run<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}

impl Place {
    pub(crate) fn name(self) -> String {
        format!("{}-{}.note", self.incarnation, self.size)
    }

    fn parse(text: &str) -> Option<Self> {
        let (incarnation, size) = text.strip_suffix(".note")?.split_once('-')?;
        let place = Self {
            incarnation: incarnation.parse().ok()?,
            size: size.parse().ok()?,
        };
        let is_size = (1..=MAX_SIZE).contains(&place.size);
        (place.incarnation >= 1 && is_size && place.name() == text).then_some(place)
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

fn read(path: &Path, place: Place) -> io::Result<Exported> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let note = fs::read_to_string(path)?;
    let signed = SignedCheckpoint::parse(&note).map_err(|error| invalid(error.to_string()))?;
    if i64::try_from(signed.checkpoint().size) != Ok(place.size) {
        return Err(invalid("it is of another size than its name".to_owned()));
    }
    Ok(Exported {
        place,
        signed,
        note,
    })
}

fn write(root: &Path, checkpoint: &StoredCheckpoint, id: Uuid) -> io::Result<()> {
    let folder = root.join(checkpoint.experiment_id.to_string());
    match fs::create_dir(&folder) {
        Ok(()) => File::open(root)?.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let place = Place {
        incarnation: i32::try_from(checkpoint.incarnation).map_err(io::Error::other)?,
        size: i64::try_from(checkpoint.size).map_err(io::Error::other)?,
    };
    let path = folder.join(place.name());
    if path.try_exists()? {
        return is_there(&path, place, checkpoint);
    }
    let draft = folder.join(format!(".{id}.tmp"));
    let written = File::create_new(&draft).and_then(|mut file| {
        file.write_all(checkpoint.note.as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&draft, &path)
    });
    // Linked or not, it has served.
    let _ = fs::remove_file(&draft);
    match written {
        Ok(()) => File::open(&folder)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            is_there(&path, place, checkpoint)
        }
        Err(error) => Err(error),
    }
}

/// Whether a file states what `checkpoint` does. Its signatures may be others: two servers in the
/// midst of a rotation have different keys.
fn is_there(path: &Path, place: Place, checkpoint: &StoredCheckpoint) -> io::Result<()> {
    let ours = SignedCheckpoint::parse(&checkpoint.note).map_err(io::Error::other)?;
    let found = read(path, place);
    if found.is_ok_and(|found| found.signed.checkpoint() == ours.checkpoint()) {
        return Ok(());
    }
    let what = format!(
        "{} does not hold the checkpoint of that name",
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_name_has_one_spelling() {
        let place = Place {
            incarnation: 2,
            size: 900,
        };
        assert_eq!(Place::parse(&place.name()), Some(place));
        for foreign in [
            "",
            "1-2",
            "01-2.note",
            "1-+2.note",
            "0-2.note",
            "1-0.note",
            "1-9007199254740992.note",
            "1-9223372036854775808.note",
            "1-2.note.tmp",
            "a-b.note",
        ] {
            assert_eq!(Place::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn an_incarnation_is_newer_whatever_its_size() {
        let of = |incarnation, size| Place { incarnation, size };
        assert!(of(2, 5) > of(1, 900) && of(2, 6) > of(2, 5));
    }
}
