//! "Did you mean": the nearest of the words that would have been right.

/// The edit distance between two texts (insert, delete, replace, swap of neighbours), when it is at most `most`.
pub(crate) fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().filter(|d| *d <= most)
}

/// The word that was probably meant, if one is near enough.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase().replace('-', "_");
    let most = (word.chars().count() / 3).clamp(1, 3);
    let begins = |k: &str| word.len() >= 4 && k.starts_with(word);
    let near = |k: &str| distance(&lower, &k.to_ascii_lowercase().replace('-', "_"), most);
    known.into_iter().filter_map(|k| Some((near(k).or(begins(k).then_some(most))?, k))).min().map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_meant_if_it_is_near() {
        let known = ["filesystem", "network", "process", "read"];
        for (word, meant) in [
            ("filesytem", Some("filesystem")),
            ("Network", Some("network")),
            ("reda", Some("read")),
            ("credential", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
