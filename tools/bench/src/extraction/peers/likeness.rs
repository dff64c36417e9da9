//! How much of a text another one holds.

use std::collections::HashMap;
use std::hash::Hash;

/// The F1 of the words of `found` against those of `truth`, wherever they stand.
pub fn words(found: &str, truth: &str) -> f64 {
    f1(split(found), split(truth))
}

/// The F1 of neighbouring words: it falls where the order is another one.
pub fn pairs(found: &str, truth: &str) -> f64 {
    let of = |text| {
        let words = split(text);
        words.windows(2).map(<[String]>::to_vec).collect()
    };
    f1(of(found), of(truth))
}

/// Letters and digits that stand together, without case.
fn split(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn f1<T: Eq + Hash>(found: Vec<T>, truth: Vec<T>) -> f64 {
    let whole = found.len() + truth.len();
    let mut left: HashMap<T, usize> = HashMap::new();
    for item in truth {
        *left.entry(item).or_default() += 1;
    }
    let mut shared = 0u32;
    for item in found {
        if let Some(count) = left.get_mut(&item).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    if whole == 0 {
        return 1.0;
    }
    2.0 * f64::from(shared) / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_as_often_as_they_stand_there_and_pairs_tell_the_order() {
        let truth = "Change the oil, then the filter.";
        assert_eq!(words(truth, truth), 1.0);
        assert_eq!(pairs(truth, truth), 1.0);
        assert_eq!(words("filter THE then oil the change", truth), 1.0);
        assert_eq!(pairs("filter THE then oil the change", truth), 0.0);
        assert_eq!(words("change the oil", truth), 6.0 / 9.0);
        assert_eq!(words("the the the the", truth), 4.0 / 10.0);
        assert_eq!(words("", truth), 0.0);
    }
}
