//! Files for the tests, made in code so that each shows what is special about it.

pub mod book;
pub mod pdf;
pub mod slides;
pub mod word;

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::ZlibEncoder;

pub fn sample(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    std::fs::read(path.join(name)).unwrap_or_else(|error| panic!("samples/{name}: {error}"))
}

pub fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}
