//! The archive that a function is deployed as.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The size of the archive: the program alone, as `bootstrap`, deflated.
pub fn zipped_bytes(program: &[u8]) -> anyhow::Result<u64> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o755);
    archive.start_file("bootstrap", options)?;
    archive.write_all(program)?;
    Ok(archive.finish()?.into_inner().len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_smaller_than_what_repeats_in_it() {
        let zipped = zipped_bytes(&vec![7; 1_000_000]).unwrap();
        assert!((100..10_000).contains(&zipped), "{zipped}");
    }
}
