//! The token table, read in place from the bytes that are linked into the binary.
//!
//! `model/table.bin`, all numbers little-endian:
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | magic, `OGEMBED` and a zero byte |
//! | 8 | 4 | format version, u32: 1 |
//! | 12 | 4 | rows R, u32: tokens of the vocabulary, in its order |
//! | 16 | 4 | dimensions D, u32 |
//! | 20 | 4 R | one f32 scale per row; it carries the token's frequency weight |
//! | 20 + 4 R | R D | one i8 per component, row by row |
//!
//! A token's vector is its scale times its row. Special tokens, the unknown token among them, have
//! scale 0.

const MAGIC: &[u8; 8] = b"OGEMBED\0";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: usize = 20;
const SCALE_BYTES: usize = 4;

/// Parsed while compiling, so a damaged file fails the build and loading costs nothing.
pub(crate) static TABLE: Table = Table::parse(include_bytes!("../model/table.bin"));

pub(crate) struct Table {
    dimensions: usize,
    scales: &'static [u8],
    components: &'static [u8],
}

impl Table {
    const fn parse(file: &'static [u8]) -> Self {
        assert!(file.len() >= HEADER_BYTES, "table.bin ends in its header");
        let (magic, rest) = file.split_at(MAGIC.len());
        let mut i = 0;
        while i < MAGIC.len() {
            assert!(magic[i] == MAGIC[i], "table.bin has another magic");
            i += 1;
        }
        let (version, rest) = take_u32(rest);
        assert!(
            version == FORMAT_VERSION,
            "table.bin has another format version"
        );
        let (rows, rest) = take_u32(rest);
        let (dimensions, rest) = take_u32(rest);
        let (rows, dimensions) = (rows as usize, dimensions as usize);
        assert!(
            rest.len() == rows * (SCALE_BYTES + dimensions),
            "table.bin has another length than its header says"
        );
        let (scales, components) = rest.split_at(rows * SCALE_BYTES);
        Self {
            dimensions,
            scales,
            components,
        }
    }

    pub(crate) const fn dimensions(&self) -> usize {
        self.dimensions
    }

    #[cfg(test)]
    pub(crate) const fn rows(&self) -> usize {
        self.scales.len() / SCALE_BYTES
    }

    /// Adds the vector of the token at `row` to `sum`, which has [`Table::dimensions`] components.
    pub(crate) fn add_row(&self, row: usize, sum: &mut [f32]) {
        let scale = self.scale(row);
        if scale == 0.0 {
            return;
        }
        let components = &self.components[row * self.dimensions..][..self.dimensions];
        for (sum, &component) in sum.iter_mut().zip(components) {
            *sum += scale * f32::from(component.cast_signed());
        }
    }

    fn scale(&self, row: usize) -> f32 {
        let (scales, _) = self.scales.as_chunks::<SCALE_BYTES>();
        f32::from_le_bytes(scales[row])
    }
}

const fn take_u32(bytes: &[u8]) -> (u32, &[u8]) {
    match bytes.split_first_chunk() {
        Some((first, rest)) => (u32::from_le_bytes(*first), rest),
        None => panic!("table.bin ends in its header"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::vocabulary;

    #[test]
    fn every_scale_is_a_finite_weight() {
        for row in 0..TABLE.rows() {
            let scale = TABLE.scale(row);
            assert!(scale.is_finite() && scale >= 0.0, "row {row}: {scale}");
        }
    }

    #[test]
    fn only_special_tokens_weigh_nothing() {
        for (row, token) in vocabulary().enumerate() {
            let special = token.len() > 2 && token.starts_with('[') && token.ends_with(']');
            assert_eq!(TABLE.scale(row) == 0.0, special, "{token}");
        }
    }

    #[test]
    fn rows_use_the_whole_range_of_their_type() {
        for (row, components) in TABLE.components.chunks(TABLE.dimensions()).enumerate() {
            let peak = components
                .iter()
                .map(|b| b.cast_signed().unsigned_abs())
                .max();
            let expected = if TABLE.scale(row) == 0.0 { 0 } else { 127 };
            assert_eq!(peak, Some(expected), "row {row}");
        }
    }

    #[test]
    fn rare_words_outweigh_common_ones() {
        let length = |wanted: &str| {
            let row = vocabulary()
                .position(|token| token == wanted)
                .expect("known");
            let mut sum = vec![0.0; TABLE.dimensions()];
            TABLE.add_row(row, &mut sum);
            sum.iter().map(|x| x * x).sum::<f32>().sqrt()
        };
        assert!(length("the") * 10.0 < length("glacier"));
    }
}
