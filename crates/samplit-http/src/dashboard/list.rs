//! The links below a page of a list: back to the newest, and on to what is older.

/// Where the links lead.
#[derive(Debug)]
pub(crate) struct Paging {
    /// The first page, unless this is it.
    pub(crate) first: Option<String>,
    /// The next page, if there is one.
    pub(crate) next: Option<String>,
}

impl Paging {
    /// Of the list at `path`, narrowed by these parameters. `is_later`: this is not the first page.
    pub(crate) fn new(
        path: &str,
        narrowed: &[(&str, Option<String>)],
        is_later: bool,
        next_cursor: Option<String>,
    ) -> Self {
        let link = |cursor: Option<String>| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in narrowed {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
            if let Some(cursor) = cursor {
                query.append_pair("cursor", &cursor);
            }
            let query = query.finish();
            if query.is_empty() {
                path.to_owned()
            } else {
                format!("{path}?{query}")
            }
        };
        Self {
            first: is_later.then(|| link(None)),
            next: next_cursor.map(|cursor| link(Some(cursor))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Paging;

    #[test]
    fn links_keep_what_narrows_the_list() {
        let narrowed = [("q", Some("a b&c".to_owned())), ("role", None)];
        let paging = Paging::new("/users", &narrowed, true, Some("x".to_owned()));
        assert_eq!(paging.first.as_deref(), Some("/users?q=a+b%26c"));
        assert_eq!(paging.next.as_deref(), Some("/users?q=a+b%26c&cursor=x"));
        let only = Paging::new("/users", &[], false, None);
        assert!(only.first.is_none() && only.next.is_none());
    }
}
