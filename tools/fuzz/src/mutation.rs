//! How sound files are changed.

use std::io::{Cursor, Read as _, Write as _};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::seeds::Target;

/// Numbers at which programs stumble.
const NUMBERS: [&str; 8] = [
    "0",
    "-1",
    "1",
    "65536",
    "2147483648",
    "4294967295",
    "18446744073709551616",
    "1e999",
];
/// A case does not grow beyond this.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The case with this number.
pub fn case(target: &Target, number: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(number ^ hash(target.name));
    let Some(seed) = target.seeds.choose(&mut random) else {
        return Vec::new();
    };
    let mut file = if target.is_archive && random.random_bool(0.9) {
        within_archive(seed, target, &mut random).unwrap_or_else(|| seed.clone())
    } else {
        let mut file = seed.clone();
        change(&mut file, target, &mut random);
        file
    };
    file.truncate(MAX_BYTES);
    file
}

fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    })
}

/// Changes what is in the parts of an archive, and leaves the archive sound.
fn within_archive(seed: &[u8], target: &Target, random: &mut StdRng) -> Option<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(seed)).ok()?;
    let chosen = random.random_range(0..archive.len());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).ok()?;
        let name = entry.name().ok()?.into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        if index == chosen {
            change(&mut content, target, random);
        }
        writer.start_file(name, SimpleFileOptions::default()).ok()?;
        writer.write_all(&content).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

/// Makes one change, or a few.
fn change(file: &mut Vec<u8>, target: &Target, random: &mut StdRng) {
    for _ in 0..random.random_range(1..=6) {
        change_once(file, target, random);
        file.truncate(MAX_BYTES);
    }
}

fn change_once(file: &mut Vec<u8>, target: &Target, random: &mut StdRng) {
    if file.is_empty() {
        file.extend_from_slice(word(target, random));
        return;
    }
    let at = random.random_range(0..file.len());
    let end = (at + random.random_range(1..=64)).min(file.len());
    match random.random_range(0..9) {
        0 => file[at] ^= 1 << random.random_range(0..8),
        1 => file[at] = random.random(),
        2 => drop(file.drain(at..end)),
        3 => {
            let part = file[at..end].to_vec();
            let times = random.random_range(1..=200);
            drop(file.splice(at..at, part.repeat(times)));
        }
        4 => drop(file.splice(at..at, word(target, random).iter().copied())),
        5 => {
            let many = word(target, random).repeat(random.random_range(2..=400));
            drop(file.splice(at..at, many));
        }
        6 => number(file, at, random),
        7 => {
            if let Some(other) = target
                .seeds
                .choose(random)
                .filter(|other| !other.is_empty())
            {
                let from = random.random_range(0..other.len());
                let to = (from + random.random_range(1..=4096)).min(other.len());
                drop(file.splice(at..end, other[from..to].iter().copied()));
            }
        }
        _ => file.truncate(at),
    }
}

fn word<'t>(target: &'t Target, random: &mut StdRng) -> &'t [u8] {
    let word = target.words.choose(random);
    word.map_or(b"\0", |word| word.as_bytes())
}

/// Puts another number where the next one stands.
fn number(file: &mut Vec<u8>, at: usize, random: &mut StdRng) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = file[at..].iter().position(is_digit).map(|found| at + found) else {
        return;
    };
    let end = file[start..]
        .iter()
        .position(|byte| !is_digit(byte))
        .map_or(file.len(), |found| start + found);
    if let Some(number) = NUMBERS.choose(random) {
        drop(file.splice(start..end, number.bytes()));
    }
}
