//! Headers that browsers, pages and proxies write what they like into, as text.

use hyper::header::{HeaderMap, HeaderName};

/// All lines of the header `name` with `between` between them. Bytes that are no UTF-8 are replaced: what
/// stands beside them counts all the same.
pub(crate) fn header_text(
    headers: &HeaderMap,
    name: &HeaderName,
    between: &[u8],
) -> Option<String> {
    let lines: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(|line| line.as_bytes())
        .collect();
    let text = || String::from_utf8_lossy(&lines.join(between)).into_owned();
    (!lines.is_empty()).then(text)
}
