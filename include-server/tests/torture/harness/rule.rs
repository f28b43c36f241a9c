//! The prerequisites of a make rule, as a compiler prints them with `-M`.

use std::collections::BTreeSet;

/// The names, each without a leading `./`.
pub fn names(rule: &str) -> BTreeSet<String> {
    let rule = rule.replace("\\\n", " ");
    let names = rule.split_once(": ").map_or("", |(_, names)| names);
    let mut found = BTreeSet::new();
    let mut name = String::new();
    let mut characters = names.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some(&(' ' | '#'))) => name.extend(characters.next()),
            ('$', Some('$')) => name.extend(characters.next()),
            (' ' | '\n', _) => {
                if !name.is_empty() {
                    found.insert(plain(&name));
                }
                name.clear();
            }
            _ => name.push(character),
        }
    }
    if !name.is_empty() {
        found.insert(plain(&name));
    }
    found
}

/// A name without leading `./`, which gcc drops.
pub fn plain(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    name.into()
}
