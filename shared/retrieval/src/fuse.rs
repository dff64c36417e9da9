//! Several rankings of the same things as one, by the ranks that they give and not by their scores:
//! what two ways of searching call near cannot be compared, and neither can two models.

use std::collections::HashMap;
use std::hash::Hash;

/// How much the first ranks count more than the later ones. The constant of the method as it was
/// published; results hardly depend on it.
const DAMPING: f64 = 60.0;

/// Reciprocal rank fusion: each list gives a thing one over its rank there, and the sums decide,
/// best first. Of equals, the one that was met first, list by list, stays before the other. `name`
/// tells which things are the same; of those, the one that was met first is kept, and a list that
/// names a thing twice counts its better rank.
pub fn fuse<T, N: Eq + Hash>(lists: Vec<Vec<T>>, name: impl Fn(&T) -> N) -> Vec<T> {
    let weighed = fuse_weighed(lists, name).into_iter();
    weighed.map(|(thing, _)| thing).collect()
}

/// As [`fuse`], each thing with the sum that decided.
pub fn fuse_weighed<T, N: Eq + Hash>(lists: Vec<Vec<T>>, name: impl Fn(&T) -> N) -> Vec<(T, f64)> {
    let mut found: Vec<(T, f64)> = Vec::new();
    let mut places: HashMap<N, (usize, usize)> = HashMap::new();
    for (number, list) in lists.into_iter().enumerate() {
        let mut rank = 0.0;
        for thing in list {
            rank += 1.0;
            let share = 1.0 / (DAMPING + rank);
            let new = found.len();
            let (place, last_list) = places.entry(name(&thing)).or_insert((new, usize::MAX));
            if *last_list == number {
                continue;
            }
            *last_list = number;
            match found.get_mut(*place) {
                Some((_, sum)) => *sum += share,
                None => found.push((thing, share)),
            }
        }
    }
    // Stable: equals stay in the order in which they were met.
    found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fused(lists: &[&str]) -> String {
        let lists = lists.iter().map(|list| list.chars().collect()).collect();
        fuse(lists, |letter: &char| *letter).into_iter().collect()
    }

    #[test]
    fn what_several_lists_know_comes_before_what_one_list_puts_first() {
        assert_eq!(fused(&["abc", "dbe"]), "badce");
        assert_eq!(fused(&["abcd", "dcba", "d"]), "dabc");
    }

    #[test]
    fn one_list_stays_as_it_is_and_none_is_nothing() {
        assert_eq!(fused(&["cab"]), "cab");
        assert_eq!(fused(&["", "cab", ""]), "cab");
        assert_eq!(fused(&[]), "");
    }

    #[test]
    fn the_order_of_the_lists_decides_only_between_equals() {
        assert_eq!(fused(&["ab", "cd"]), "acbd");
        assert_eq!(fused(&["cd", "ab"]), "cadb");
    }

    #[test]
    fn a_list_that_repeats_itself_gains_nothing() {
        assert_eq!(fused(&["aab", "b"]), "ba");
        assert_eq!(fused(&["bbbb", "ab"]), "ba");
    }

    #[test]
    fn the_first_of_the_same_is_kept() {
        let lists = vec![vec![(1, "semantic")], vec![(2, "text"), (1, "text")]];
        let fused = fuse(lists, |(id, _)| *id);
        assert_eq!(fused, [(1, "semantic"), (2, "text")]);
    }
}
