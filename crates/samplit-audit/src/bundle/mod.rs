//! A trail as a file that anybody can verify without the server.
//!
//! NDJSON: each line is one JSON object in the canonical form of [`sj1`](crate::sj1), followed by
//! one LF. A reader compares bytes: another order of keys, a space or a CR is malformed. A line has
//! at most [`MAX_LINE`] bytes. `decision_data` keeps the profile by itself; the envelope does not
//! count toward its depth or size. The lines, in order (two are broken here, for the eye only):
//!
//! ```text
//! {"alg":"samplit-audit-v1","experiment_id":"<uuid>","genesis":"<hash>","kind":"bundle",
//!  "version":1}
//! {"draw_key_hex":"<64 digits>","kind":"reveal"}
//! {"created_at_us":<int>,"current_hash":"<hash>","decision_data":{...},"decision_type":"<word>",
//!  "id":"<uuid>","kind":"entry","previous_hash":"<hash>","sequence_number":<int>}
//! {"kind":"checkpoint","note":"<signed note>"}
//! {"kind":"abandoned","note":"<signed note>"}
//! {"count":<int>,"kind":"end"}
//! ```
//!
//! * `bundle` comes first. `genesis` is the hash that stands before sequence 1.
//! * `reveal` is the second line if and only if the trail has a `seal` entry, so that one pass can
//!   replay every draw.
//! * `entry` lines have sequence 1, 2, 3, ...
//! * `checkpoint`: every checkpoint of size n stands right behind entry n.
//! * `abandoned`: a checkpoint that a restore gave up stands, with others of its kind and by size,
//!   right before that `restore` entry, which names the size and root of the last of them.
//! * `end` comes last; `count` is the number of entries.

mod read;
mod write;

pub use read::verify;
pub use write::{abandoned, checkpoint, end, entry, header, reveal};

use crate::sj1::MAX_BYTES;

/// The version of the layout of lines.
pub const VERSION: u64 = 1;
/// The longest line in bytes, its LF included.
pub const MAX_LINE: usize = MAX_BYTES + 1024;
/// The member by which an entry line shows what it is.
const ENTRY: &[u8] = b"\"kind\":\"entry\",";
