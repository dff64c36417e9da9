//! A memory's text as a vector of small integers. It is stored with the memory, so that a run
//! embeds its question and nothing else, and it is compared in integers, so that every machine
//! comes to the same score.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a score of 1 is written as: scores are whole thousandths.
pub const ONE: u16 = 1_000;

/// A text's vector and the model that made it. Only vectors of one model can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedding {
    /// `name@version`.
    pub model: String,
    vector: Components,
}

impl Embedding {
    /// `vector` in steps of a 127th of its largest component. `None` if it points nowhere: the
    /// model knew no word of the text.
    #[must_use]
    pub fn quantised(model: impl Into<String>, vector: &[f32]) -> Option<Self> {
        let largest = vector.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        if !largest.is_normal() {
            return None;
        }
        let scale = f32::from(i8::MAX) / largest;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the largest component becomes 127"
        )]
        let components = vector.iter().map(|x| (x * scale).round() as i8).collect();
        Some(Self {
            model: model.into(),
            vector: Components(components),
        })
    }

    /// How near two texts are in meaning, in thousandths: the cosine of their vectors, and 0 where
    /// that is negative or the vectors are of different models.
    #[must_use]
    pub fn nearness(&self, other: &Self) -> u16 {
        let (a, b) = (&self.vector.0, &other.vector.0);
        if self.model != other.model || a.len() != b.len() {
            return 0;
        }
        let dot = dot(a, b);
        if dot <= 0 {
            return 0;
        }
        // Exact: each is far below 2^53, and IEEE defines the root and the quotient to the bit.
        #[expect(
            clippy::cast_precision_loss,
            reason = "components are bytes: the sums are below 2^53"
        )]
        let lengths = (self::dot(a, a) as f64).sqrt() * (self::dot(b, b) as f64).sqrt();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cosine above zero, and at most a hair above 1"
        )]
        let thousandths = (dot as f64 / lengths * f64::from(ONE)).round() as u16;
        thousandths.min(ONE)
    }
}

fn dot(a: &[i8], b: &[i8]) -> i64 {
    a.iter()
        .zip(b)
        .map(|(x, y)| i64::from(i32::from(*x) * i32::from(*y)))
        .sum()
}

/// The components, which are stored as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Components(Vec<i8>);

impl Serialize for Components {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().map(|x| x.cast_unsigned()).collect();
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Components {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(Bytes)
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Components;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Components, E> {
        Ok(Components(bytes.iter().map(|x| x.cast_signed()).collect()))
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Components, E> {
        self.visit_bytes(&bytes)
    }

    // JSON has no bytes.
    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Components, A::Error> {
        let mut components = Vec::with_capacity(numbers.size_hint().unwrap_or(0));
        while let Some(byte) = numbers.next_element::<u8>()? {
            components.push(byte.cast_signed());
        }
        Ok(Components(components))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The vector of these components.
    pub(crate) fn vector(components: &[f32]) -> Embedding {
        Embedding::quantised("test@1", components).expect("it points somewhere")
    }

    #[test]
    fn nearness_is_the_cosine_in_thousandths() {
        let up = vector(&[1.0, 0.0]);
        assert_eq!(up.nearness(&up), ONE);
        assert_eq!(up.nearness(&vector(&[0.0, 2.0])), 0);
        assert_eq!(up.nearness(&vector(&[-1.0, 0.0])), 0);
        let sixty_degrees = vector(&[1.0, 3.0_f32.sqrt()]);
        assert!(up.nearness(&sixty_degrees).abs_diff(500) <= 3);
    }

    #[test]
    fn vectors_of_different_models_are_not_near() {
        let one = vector(&[1.0, 0.5]);
        let other = Embedding::quantised("test@2", &[1.0, 0.5]).unwrap();
        assert_eq!(one.nearness(&other), 0);
        assert_eq!(one.nearness(&vector(&[1.0, 0.5, 0.0])), 0);
    }

    #[test]
    fn what_points_nowhere_has_no_vector() {
        for nowhere in [&[][..], &[0.0, 0.0], &[f32::NAN], &[f32::INFINITY, 1.0]] {
            assert_eq!(Embedding::quantised("test@1", nowhere), None);
        }
    }

    #[test]
    fn it_reads_back_from_bytes_and_from_numbers() {
        let one = vector(&[1.0, -1.0, 0.25]);
        let json = serde_json::to_value(&one).unwrap();
        assert_eq!(json["vector"], serde_json::json!([127, 129, 32]));
        assert_eq!(serde_json::from_value::<Embedding>(json).unwrap(), one);
    }

    proptest! {
        #[test]
        fn nearness_is_symmetric_and_as_near_as_the_vectors_are(
            a in prop::collection::vec(-1.0_f32..1.0, 32),
            b in prop::collection::vec(-1.0_f32..1.0, 32),
        ) {
            let (Some(x), Some(y)) =
                (Embedding::quantised("m", &a), Embedding::quantised("m", &b)) else { return Ok(()) };
            prop_assert_eq!(x.nearness(&y), y.nearness(&x));
            prop_assert_eq!(x.nearness(&x), ONE);
            let product = |a: &[f32], b: &[f32]| a.iter().zip(b)
                .map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
            let cosine = product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt();
            let exact = cosine.max(0.0) * f64::from(ONE);
            prop_assert!((exact - f64::from(x.nearness(&y))).abs() < 12.0, "{exact}");
        }
    }
}
