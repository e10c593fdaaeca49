//! Writes every tampered variation of a bundle into a folder, as
//! `<name>.<exit code that a verifier must give>.ndjson`:
//!
//! `cargo run -p samplit-audit --example tamper -- <bundle> <folder>`
//!
//! A verifier is run over them with the keys of the bundle pinned and with replay. Variations for
//! which checkpoints are signed again are made only if the keys of the golden bundle
//! `tests/golden/complete.ndjson` have signed the bundle; what a bundle does not hold is not altered.

#[expect(dead_code, reason = "trails are made by the tests")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::{error::Error, fs, path::PathBuf};

use samplit_audit::{Options, bundle};
use support::{complete, signers, tamper};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(source), Some(folder), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("give a bundle and a folder".into());
    };
    let bundle = fs::read(source)?;
    bundle::verify(bundle.as_slice(), Options::default())?;
    let golden_keys = Options {
        keys: complete::keys(),
        ..Options::default()
    };
    let ours = bundle::verify(bundle.as_slice(), golden_keys).is_ok();
    fs::create_dir_all(&folder)?;
    for tampering in tamper::table() {
        if tampering.repair == tamper::Repair::Signed && !ours {
            continue;
        }
        if let Some(bytes) = tampering.apply(&bundle, &signers()) {
            let (name, code) = (tampering.name, tampering.expected.exit_code());
            fs::write(folder.join(format!("{name}.{code}.ndjson")), bytes)?;
        }
    }
    Ok(())
}
