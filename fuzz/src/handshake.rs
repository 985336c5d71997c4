//! The head of a request or a response, taken apart as simply as possible: whatever an HTTP parser
//! may hand over, and more.

/// A header line: the name, which is UTF-8, and the value, which is anything.
pub(crate) type Line<'a> = (&'a str, &'a [u8]);

/// The words of the first line, and the header lines behind it.
pub(crate) fn parse(input: &[u8]) -> (Vec<&str>, Vec<Line<'_>>) {
    let mut lines = input.split(|&byte| byte == b'\n');
    let first = lines.next().and_then(|line| str::from_utf8(line).ok()).unwrap_or_default();
    let headers = lines.filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
    });
    (first.split(' ').collect(), headers.collect())
}

/// The same headers, written and ordered as another HTTP library might have them.
pub(crate) fn otherwise<'a>(headers: &[Line<'a>]) -> Vec<(String, &'a [u8])> {
    let mut other: Vec<_> =
        headers.iter().rev().map(|(name, value)| (name.to_ascii_uppercase(), *value)).collect();
    other.push(("X-Unknown".to_owned(), b"websocket, upgrade"));
    other
}

/// Borrows the names again.
pub(crate) fn lines<'a>(headers: &'a [(String, &'a [u8])]) -> impl Iterator<Item = Line<'a>> {
    headers.iter().map(|(name, value)| (&**name, *value))
}
