//! Plaintext as it is: into a file, or into the caller's stream.

use std::io::{Read, Write};
use std::path::Path;

use super::super::Run;
use super::super::plaintext::Plaintext;
use super::RestoreReport;
use crate::base::failure::{Failure, IoContext, Kind, Result, from_io, io_failure};
use crate::base::report::Phase;
use crate::source::directory::Existing;

/// How much is copied at a time, in bytes.
const COPY_BYTES: usize = 256 * 1024;

/// Content that knows at its end whether it was whole.
pub(super) trait Checked: Read {
    /// Reads what is left, if need be, and checks everything.
    ///
    /// # Errors
    /// [`Kind::Damaged`].
    fn verify(&mut self) -> Result<()>;
}

impl Checked for Plaintext {
    fn verify(&mut self) -> Result<()> {
        Self::verify(self)
    }
}

/// Refuses a file that exists, unless told to replace it; says so if it will be.
pub(super) fn check_file(path: &Path, existing: Existing) -> Result<Option<String>> {
    if std::fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    match existing {
        Existing::Replace => Ok(Some(format!("The file `{}` will be replaced", path.display()))),
        Existing::Refuse | Existing::Merge => Err(Failure::new(
            Kind::Refused,
            format!("`{}` exists already", path.display()),
        )
        .hint("Choose another path, or add --replace")),
    }
}

/// Writes the plaintext beside the file, checks it, and moves it into place.
pub(super) fn to_file(
    mut plaintext: impl Checked,
    path: &Path,
    existing: Existing,
    report: &mut RestoreReport,
    run: &Run,
) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".backup-cli-restore-")
        .tempfile_in(folder)
        .doing(|| format!("make a file in `{}`", folder.display()))
        .map_err(|failure| match failure.kind() {
            // "Not found" is said of backups.
            Kind::NotFound => failure.with_kind(Kind::Failed).hint("Make the folder first"),
            _ => failure,
        })?;
    report.plain_bytes = copy(
        &mut plaintext,
        file.as_file_mut(),
        run,
        &format!("write `{}`", path.display()),
    )?;
    run.phase(Phase::Finishing);
    plaintext.verify()?;
    file.as_file()
        .sync_all()
        .doing(|| format!("write `{}` to disk", path.display()))?;
    let placed = match existing {
        Existing::Replace => file.persist(path),
        Existing::Refuse | Existing::Merge => file.persist_noclobber(path),
    };
    placed.map_err(|error| io_failure(format!("move the restored file to `{}`", path.display()), error.error))?;
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .doing(|| format!("write the folder `{}` to disk", folder.display()))
}

/// Writes the plaintext to the caller's stream; damage is told by the failure at the end.
pub(super) fn to_stream(
    mut plaintext: impl Checked,
    output: &mut dyn Write,
    report: &mut RestoreReport,
    run: &Run,
) -> Result<()> {
    report.plain_bytes = copy(&mut plaintext, output, run, "write to standard output")?;
    plaintext.verify()?;
    output.flush().doing(|| "write to standard output")
}

fn copy(plaintext: &mut impl Checked, output: &mut dyn Write, run: &Run, doing: &str) -> Result<u64> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut total = 0u64;
    loop {
        let read = plaintext
            .read(&mut buffer)
            .map_err(|error| from_io("read the backup", error))?;
        if read == 0 {
            return Ok(total);
        }
        output
            .write_all(&buffer[..read])
            .map_err(|error| io_failure(doing, error))?;
        total += read as u64;
        run.reporter.progress().add_plain(read as u64);
    }
}
