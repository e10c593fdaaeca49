//! What the API says of fields, as people read it.

/// `/elements/0/variants/1/traffic_share` is `element 1, variant 2, traffic share`.
pub(super) fn words(pointer: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for token in pointer.split('/').filter(|token| !token.is_empty()) {
        match (token.parse::<usize>(), words.last_mut()) {
            (Ok(index), Some(list)) => {
                let one = list.strip_suffix('s').unwrap_or(list).to_owned();
                *list = format!("{one} {}", index + 1);
            }
            (Ok(index), None) => words.push(format!("line {}", index + 1)),
            (Err(_), _) => words.push(token.replace('_', " ")),
        }
    }
    words.join(", ")
}

/// With a capital, a full stop, and quotes where the API marks words as code.
pub(crate) fn sentence(text: &str) -> String {
    let mut opens = false;
    let quoted = |c: char| match c {
        '`' => {
            opens = !opens;
            if opens { '\u{201c}' } else { '\u{201d}' }
        }
        other => other,
    };
    let text: String = text.trim().chars().map(quoted).collect();
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return text;
    };
    let stop = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{}{}{stop}", first.to_uppercase(), chars.as_str())
}
