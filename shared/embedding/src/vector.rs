//! Arithmetic on vectors of one model.

/// Two vectors of different lengths, so of different models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("vectors of {left} and {right} dimensions cannot be compared")]
pub struct DimensionMismatch {
    pub left: usize,
    pub right: usize,
}

/// The cosine of the angle between two vectors, from -1 to 1; larger is closer in meaning. With
/// a zero vector it is 0, as with an unrelated text.
///
/// Both vectors must come from the same [`ModelId`](crate::ModelId); equal lengths do not prove
/// that they do.
///
/// # Errors
/// [`DimensionMismatch`] when the lengths differ.
pub fn cosine(a: &[f32], b: &[f32]) -> Result<f32, DimensionMismatch> {
    if a.len() != b.len() {
        return Err(DimensionMismatch {
            left: a.len(),
            right: b.len(),
        });
    }
    if is_zero(a) || is_zero(b) {
        return Ok(0.0);
    }
    let cosine = dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
    // Rounding can carry parallel vectors a hair past 1.
    Ok(cosine.clamp(-1.0, 1.0) as f32)
}

/// Whether a vector is all zeros: its text held nothing that the model knows.
pub fn is_zero(vector: &[f32]) -> bool {
    vector.iter().all(|&x| x == 0.0)
}

/// Scales to unit length; leaves a zero vector as it is.
pub fn normalise(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        for x in vector {
            *x = (f64::from(*x) / length) as f32;
        }
    }
}

/// In f64, where neither the squares of small nor the sum of large components loses precision.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&x, &y)| f64::from(x) * f64::from(y))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_of_known_angles() {
        assert_eq!(cosine(&[3.0, 0.0], &[0.5, 0.0]), Ok(1.0));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 7.0]), Ok(0.0));
        assert_eq!(cosine(&[1.0, 2.0], &[-2.0, -4.0]), Ok(-1.0));
        let sixty_degrees = cosine(&[1.0, 0.0], &[1.0, 3.0_f32.sqrt()]).expect("same length");
        assert!((sixty_degrees - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_zero_vector_is_close_to_nothing() {
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), Ok(0.0));
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 0.0]), Ok(0.0));
        assert_eq!(cosine(&[], &[]), Ok(0.0));
    }

    #[test]
    fn lengths_must_agree() {
        assert_eq!(
            cosine(&[1.0], &[1.0, 0.0]),
            Err(DimensionMismatch { left: 1, right: 2 })
        );
    }

    #[test]
    fn extreme_components_keep_their_angle() {
        assert_eq!(cosine(&[1e-30, 0.0], &[1e30, 0.0]), Ok(1.0));
        let mut tiny = [3e-30, 4e-30];
        normalise(&mut tiny);
        assert!((tiny[0] - 0.6).abs() < 1e-6 && (tiny[1] - 0.8).abs() < 1e-6);
    }
}
