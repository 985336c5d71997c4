//! Patterns of namespaces' names.

/// What stood in the places of a pattern, by name.
pub(crate) type Captures = Box<[(Box<str>, Box<str>)]>;

/// A name with places for others: `/workspace-{id}`, `/room/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// One or more characters that are no `/`.
    Place(Box<str>),
    /// One or more of any characters, to the end.
    Rest,
}

impl Pattern {
    pub(crate) fn parse(pattern: &str) -> Result<Self, &'static str> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            if rest == "*" {
                parts.push(Part::Rest);
                break;
            }
            if let Some(place) = rest.strip_prefix('{') {
                let (name, behind) = place.split_once('}').ok_or("a `{` has no `}`")?;
                if name.is_empty() || name.contains('{') {
                    return Err("a place has no name");
                }
                if matches!(parts.last(), Some(Part::Place(_))) {
                    return Err("two places have nothing between them");
                }
                let taken = |part: &Part| matches!(part, Part::Place(other) if **other == *name);
                if parts.iter().any(taken) {
                    return Err("two places have one name");
                }
                parts.push(Part::Place(name.into()));
                rest = behind;
                continue;
            }
            let end = rest.find(['{', '*']).unwrap_or(rest.len());
            let (text, behind) = rest.split_at(end);
            if text.contains('}') {
                return Err("a `}` has no `{`");
            }
            if behind.starts_with('*') && behind.len() > 1 || text.is_empty() {
                return Err("a `*` may only stand at the end");
            }
            parts.push(Part::Text(text.into()));
            rest = behind;
        }
        if matches!(parts[..], [.., Part::Place(_), Part::Rest]) {
            return Err("a place and `*` have nothing between them");
        }
        Ok(Self { parts })
    }

    /// What stands in its places, if the name is one of its.
    pub(crate) fn captures(&self, name: &str) -> Option<Captures> {
        let mut found = Vec::new();
        matches(&self.parts, name, &mut found)
            .then(|| found.into_iter().map(|(place, text)| (place.into(), text.into())).collect())
    }
}

/// A place takes as little as it can: `/{a}-{b}` finds `1` and `2-3` in `/1-2-3`. The text behind a place is
/// looked for once: a name is read in linear time for each part.
fn matches<'a>(parts: &'a [Part], name: &'a str, found: &mut Vec<(&'a str, &'a str)>) -> bool {
    match parts {
        [] => name.is_empty(),
        [Part::Text(text), parts @ ..] => {
            name.strip_prefix(&**text).is_some_and(|name| matches(parts, name, found))
        }
        [Part::Rest, ..] => {
            found.push(("*", name));
            !name.is_empty()
        }
        [Part::Place(place)] => {
            found.push((place, name));
            !name.is_empty() && !name.contains('/')
        }
        [Part::Place(place), Part::Text(text), parts @ ..] => {
            let last = parts.is_empty();
            let first = name.chars().next().map_or(0, char::len_utf8);
            let at = name.get(first..).and_then(|behind| {
                let at = if last {
                    behind.ends_with(&**text).then(|| behind.len() - text.len())
                } else {
                    behind.find(&**text)
                };
                at.map(|at| at + first)
            });
            let Some(at) = at.filter(|at| *at > 0 && !name[..*at].contains('/')) else {
                return false;
            };
            found.push((place, &name[..at]));
            matches(parts, &name[at + text.len()..], found)
        }
        [Part::Place(_), ..] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn captures(pattern: &str, name: &str) -> Option<String> {
        let found = Pattern::parse(pattern).expect(pattern).captures(name)?;
        Some(found.iter().map(|(place, text)| format!("{place}={text};")).collect())
    }

    #[test]
    fn names_are_found() {
        for (pattern, name, found) in [
            ("/workspace-{id}", "/workspace-7", Some("id=7;")),
            ("/workspace-{id}", "/workspace-", None),
            ("/workspace-{id}", "/workspace-7/8", None),
            ("/workspace-{id}", "/work", None),
            ("/{a}-{b}", "/1-2-3", Some("a=1;b=2-3;")),
            ("/{a}-{b}", "/--b", Some("a=-;b=b;")),
            ("/{a}-x", "/1-x-x", Some("a=1-x;")),
            ("/{a}-x", "/-x", None),
            ("/{a}/b/{c}", "/ä/b/ö", Some("a=ä;c=ö;")),
            ("/{a}/b/{c}", "/a/x/b/c", None),
            ("/room/*", "/room/a/b", Some("*=a/b;")),
            ("/room/*", "/room/", None),
            ("/{a}/*", "/1/2/3", Some("a=1;*=2/3;")),
            ("/plain", "/plain", Some("")),
            ("/plain", "/plain2", None),
        ] {
            assert_eq!(captures(pattern, name).as_deref(), found, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_that_are_none() {
        for pattern in ["/{", "/{}", "/}", "/{a}{b}", "/{a}-{a}", "/*/x", "/**", "/{a}*", "/{a{b}"]
        {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
