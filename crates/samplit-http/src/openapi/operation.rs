//! How one operation of the document is put together: who may ask, what is asked, what is answered.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

use super::example;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auth {
    /// Everybody.
    Open,
    /// An API key, or the cookie of a session.
    Account,
    /// The cookie of a session.
    Session,
    /// An API key, also in `X-API-Key`.
    Flags,
    /// The public token of an installation, in the body, from a page of one of its origins.
    Page,
    /// The token of a link that opens the editor.
    Editor,
    /// A signature over the body.
    Signed,
}

/// Reads a request body, for the test that its schema names the fields that are read.
pub(super) type Reader = fn(Json);

/// One line of the document.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    tag: &'static str,
    summary: &'static str,
    auth: Auth,
    parameters: Vec<Json>,
    body: Option<Json>,
    answers: BTreeMap<u16, Json>,
    /// By status, the words that `code` may be.
    refusals: BTreeMap<u16, Vec<&'static str>>,
    /// What a refusal looks like, where it is no problem document.
    refusal: Option<Json>,
    /// Whether a refusal may be a page as well.
    has_pages: bool,
    /// Schemas by their names.
    pub(super) components: Vec<(String, Json)>,
    /// The names of components that stand in request bodies.
    pub(super) asked: Vec<String>,
    #[cfg(test)]
    pub(super) reader: Option<Reader>,
}

/// What any answer may be, however good the question is.
const ANY_TIME: [(u16, &[&str]); 2] = [
    (500, &["internal"]),
    (
        503,
        &[
            "overloaded",
            "database_unavailable",
            "outcome_unknown",
            "timeout",
        ],
    ),
];

pub(super) fn operation(
    method: Method,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Operation {
    let mut operation = Operation {
        method,
        path,
        tag,
        summary,
        auth: Auth::Open,
        parameters: Vec::new(),
        body: None,
        answers: BTreeMap::new(),
        refusals: BTreeMap::new(),
        refusal: None,
        has_pages: false,
        components: Vec::new(),
        asked: Vec::new(),
        #[cfg(test)]
        reader: None,
    };
    for (status, codes) in ANY_TIME {
        operation = operation.refuses(status, codes);
    }
    let names = path.split('{').skip(1);
    for name in names.filter_map(|rest| rest.split('}').next()) {
        operation = operation.in_path(name);
    }
    operation
}

impl Operation {
    /// An API key, or the cookie of a session.
    pub(super) fn account(self) -> Self {
        self.by(Auth::Account)
            .refuses(401, &["unauthenticated"])
            .refuses(403, &["forbidden", "cross_site"])
            .refuses(429, &["rate_limited"])
    }

    /// Likewise, of an admin.
    pub(super) fn admin(self) -> Self {
        self.account().refuses(403, &["admin_only"])
    }

    /// Likewise, of an admin who is signed in; a key will not do.
    pub(super) fn admin_in_person(self) -> Self {
        self.admin()
            .by(Auth::Session)
            .refuses(403, &["session_only"])
    }

    /// The cookie of a session.
    pub(super) fn session(self) -> Self {
        self.by(Auth::Session)
            .refuses(401, &["unauthenticated"])
            .refuses(403, &["cross_site"])
            .refuses(429, &["rate_limited"])
    }

    /// An API key, by the rules of OFREP. Refusals have the shape of that protocol.
    pub(super) fn flags<T: ToSchema>(mut self) -> Self {
        let schema = self.schema::<T>();
        self.refusal = Some(json!({"application/json": {"schema": schema}}));
        self.by(Auth::Flags)
            .refuses(400, &[])
            .refuses(401, &[])
            .refuses(403, &[])
            .refuses(429, &[])
    }

    /// The public token of an installation, from a page of one of its origins.
    pub(super) fn page(self) -> Self {
        self.by(Auth::Page)
            .refuses(401, &["unknown_installation"])
            .refuses(403, &["origin_not_allowed"])
            .refuses(429, &["rate_limited"])
    }

    /// The token of a link that opens the editor, from a page of one of its origins.
    pub(super) fn editor(self) -> Self {
        self.by(Auth::Editor)
            .refuses(
                401,
                &["unknown_token", "token_expired", "unknown_installation"],
            )
            .refuses(403, &["origin_not_allowed", "forbidden"])
            .refuses(404, &["not_found"])
            .refuses(409, &["no_secret"])
            .refuses(429, &["rate_limited"])
    }

    /// A signature over the body.
    pub(super) fn signed(self) -> Self {
        self.by(Auth::Signed)
            .refuses(401, &["bad_signature", "unknown_installation"])
            .refuses(429, &["rate_limited"])
    }

    fn by(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// A parameter of the path, which names something that has to be there.
    fn in_path(mut self, name: &str) -> Self {
        let (schema, refusal): (_, (u16, &[&str])) = match name {
            "visitor" => (
                json!({"type": "string", "minLength": 1, "maxLength": 255}),
                (422, &["invalid"]),
            ),
            "name" => (
                json!({"type": "string", "minLength": 1, "maxLength": 50}),
                (422, &["invalid"]),
            ),
            "key" | "token" | "hook" | "asset" => (
                json!({"type": "string", "minLength": 1}),
                (404, &["not_found"]),
            ),
            _ => (
                json!({"type": "string", "format": "uuid"}),
                (404, &["not_found"]),
            ),
        };
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true,
            "example": example::of_path(name), "schema": schema,
        }));
        self.refuses(refusal.0, refusal.1)
    }

    /// A parameter of the query that may be absent.
    pub(super) fn query(mut self, name: &str, description: &str, schema: &Json) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "query", "description": description, "schema": schema,
        }));
        self.refuses(422, &["invalid"])
    }

    /// A parameter of the query that has to be there.
    pub(super) fn required_query(self, name: &str, description: &str, schema: &Json) -> Self {
        let mut operation = self.query(name, description, schema);
        if let Some(last) = operation.parameters.last_mut() {
            last["required"] = true.into();
        }
        operation
    }

    /// A list that is read in pages.
    pub(super) fn paged(self) -> Self {
        let limit = json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50});
        self.query(
            "cursor",
            "`next_cursor` of the page before",
            &json!({"type": "string"}),
        )
        .query("limit", "how long a page is", &limit)
    }

    /// A query that has no parameter: any is refused.
    pub(super) fn no_query(self) -> Self {
        self.refuses(422, &["invalid"])
    }

    fn header(mut self, name: &str, description: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "header", "description": description,
            "schema": {"type": "string"},
        }));
        self
    }

    /// A change that is made only to the version that the client has seen.
    pub(super) fn if_match(self) -> Self {
        self.header("If-Match", "the `ETag` of the version to be changed")
            .refuses(412, &["version_mismatch"])
    }

    /// An answer that is not sent to who has it.
    pub(super) fn unless_known(mut self) -> Self {
        let answer = json!({"description": "what the client has is still so"});
        self.answers.insert(304, answer);
        self.header("If-None-Match", "the `ETag` of what the client has")
    }

    /// A request that may be sent twice and is done once.
    pub(super) fn once(self) -> Self {
        self.header(
            "Idempotency-Key",
            "1 to 255 visible characters; the same key with the same body is answered as before",
        )
        .refuses(409, &["idempotency_key_in_use", "no_secret"])
        .refuses(422, &["idempotency_key_reused"])
    }

    /// A body that has to be there. `read` is how the handler reads it.
    pub(super) fn body<T: ToSchema>(self, read: Reader) -> Self {
        self.reads::<T>(true, read)
    }

    /// A body that may be absent.
    pub(super) fn optional_body<T: ToSchema>(self, read: Reader) -> Self {
        self.reads::<T>(false, read)
    }

    /// Likewise, for a type that is one of a family: its schema stands where it is used.
    pub(super) fn body_inline<T: ToSchema>(mut self, read: Reader) -> Self {
        let before = self.components.len();
        let schema = self.inline::<T>();
        self.asks(before, &schema, true, read)
    }

    fn reads<T: ToSchema>(mut self, is_required: bool, read: Reader) -> Self {
        let before = self.components.len();
        let schema = self.schema::<T>();
        self.asks(before, &schema, is_required, read)
    }

    /// `before`: how many components there were without the body.
    fn asks(mut self, before: usize, schema: &Json, is_required: bool, read: Reader) -> Self {
        let asked = self.components[before..]
            .iter()
            .map(|(name, _)| name.clone());
        self.asked.extend(asked);
        self.body = Some(json!({
            "required": is_required,
            "content": {"application/json": {"schema": schema}},
        }));
        #[cfg(test)]
        {
            self.reader = Some(read);
        }
        #[cfg(not(test))]
        let _ = read;
        self.takes_json()
    }

    /// The same as a form that a browser sends by itself, by the schema `schema`; it is refused with a page.
    pub(super) fn or_form(mut self, schema: &Json) -> Self {
        if let Some(body) = &mut self.body {
            let form = json!({"schema": schema});
            body["content"]["application/x-www-form-urlencoded"] = form;
        }
        self.has_pages = true;
        self
    }

    /// A body by the schema `schema`, which another protocol defines.
    pub(super) fn foreign_body(mut self, content_type: &str, schema: &Json) -> Self {
        self.body = Some(json!({
            "required": true,
            "content": {content_type: {"schema": schema}},
        }));
        self.takes_json()
    }

    /// A body that may be absent and has no fields.
    pub(super) fn no_fields(self) -> Self {
        self.takes_json()
    }

    fn takes_json(self) -> Self {
        let operation = self
            .refuses(400, &["malformed_json", "incomplete_body"])
            .refuses(408, &["body_timeout"])
            .refuses(413, &["body_too_large"]);
        if operation.refusal.is_some() {
            return operation;
        }
        operation
            .refuses(415, &["unsupported_media_type"])
            .refuses(422, &["invalid"])
    }

    /// The answer with the status `status` is a `T`.
    pub(super) fn gives<T: ToSchema>(self, status: u16) -> Self {
        self.gives_as::<T>(status, "application/json")
    }

    /// Likewise, of another type of content.
    pub(super) fn gives_as<T: ToSchema>(mut self, status: u16, content_type: &str) -> Self {
        let schema = self.schema::<T>();
        self.answers.insert(
            status,
            json!({
                "description": describe(status),
                "content": {content_type: {"schema": schema}},
            }),
        );
        self
    }

    /// Likewise, for a type that is one of a family: its schema stands where it is used.
    pub(super) fn gives_inline<T: ToSchema>(mut self, status: u16) -> Self {
        let schema = self.inline::<T>();
        self.answers.insert(
            status,
            json!({
                "description": describe(status),
                "content": {"application/json": {"schema": schema}},
            }),
        );
        self
    }

    /// A type that an answer of [`Self::gives_inline`] is made of.
    pub(super) fn of<T: ToSchema>(mut self) -> Self {
        self.schema::<T>();
        self
    }

    /// The answer is text of the type `content_type`.
    pub(super) fn gives_text(mut self, status: u16, content_type: &str) -> Self {
        let answer = self.answers.entry(status);
        let answer =
            answer.or_insert_with(|| json!({"description": describe(status), "content": {}}));
        answer["content"][content_type] = json!({"schema": {"type": "string"}});
        self
    }

    /// The answer is an object that is described elsewhere.
    pub(super) fn gives_json(mut self, status: u16) -> Self {
        self.answers.insert(
            status,
            json!({
                "description": describe(status),
                "content": {"application/json": {"schema": {"type": "object"}}},
            }),
        );
        self
    }

    /// The answer says nothing but its status.
    pub(super) fn gives_nothing(mut self, status: u16) -> Self {
        let answer = json!({"description": describe(status)});
        self.answers.insert(status, answer);
        self
    }

    /// A refusal with one of the words `codes`.
    pub(super) fn refuses(mut self, status: u16, codes: &[&'static str]) -> Self {
        let known = self.refusals.entry(status).or_default();
        for code in codes {
            if !known.contains(code) {
                known.push(code);
            }
        }
        self
    }

    /// The schema of `T`, as a reference to a component.
    fn schema<T: ToSchema>(&mut self) -> Json {
        let name = T::name().into_owned();
        let reference = format!("#/components/schemas/{name}");
        let schema = self.inline::<T>();
        self.components.push((name, schema));
        json!({"$ref": reference})
    }

    /// The schema of `T`, with those that it refers to as components.
    fn inline<T: ToSchema>(&mut self) -> Json {
        let (schema, inner) = schemas::<T>();
        self.components.extend(inner);
        schema
    }

    /// The key of a path item, and what stands there.
    pub(super) fn into_entry(self) -> (&'static str, String, Json) {
        let mut responses: Map<String, Json> = Map::new();
        for (status, answer) in self.answers {
            responses.insert(status.to_string(), answer);
        }
        for (status, codes) in self.refusals {
            let mut problem = json!({"application/problem+json": {"schema": {
                "allOf": [
                    {"$ref": "#/components/schemas/Problem"},
                    {"type": "object", "properties": {
                        "code": {"type": "string", "enum": codes},
                        "status": {"const": status},
                    }},
                ],
            }}});
            if self.has_pages {
                problem["text/html"] = json!({"schema": {"type": "string"}});
            }
            // What the router refuses has the shape of problems everywhere.
            let content = match &self.refusal {
                None => problem,
                Some(refusal) => refusal.clone(),
            };
            let code = codes.iter().map(|code| format!("`{code}`"));
            let code: Vec<String> = code.collect();
            let description = match code.as_slice() {
                [] => describe(status).to_owned(),
                codes => format!("{}: {}", describe(status), codes.join(", ")),
            };
            responses.insert(
                status.to_string(),
                json!({"description": description, "content": content}),
            );
        }
        let mut entry = json!({
            "tags": [self.tag],
            "summary": self.summary,
            "operationId": operation_id(&self.method, self.path),
            "parameters": self.parameters,
            "security": self.auth.requirements(),
            "responses": responses,
        });
        if let Some(body) = self.body {
            entry["requestBody"] = body;
        }
        (self.path, self.method.as_str().to_ascii_lowercase(), entry)
    }
}

/// The schema of `T`, and by their names those that it refers to.
pub(super) fn schemas<T: ToSchema>() -> (Json, Vec<(String, Json)>) {
    let mut inner = Vec::new();
    T::schemas(&mut inner);
    let inner = inner
        .into_iter()
        .map(|(name, schema)| (name, json!(schema)));
    (json!(T::schema()), inner.collect())
}

impl Auth {
    fn requirements(self) -> Json {
        match self {
            Self::Open | Self::Page | Self::Signed => json!([]),
            Self::Account => json!([{"key": []}, {"session": []}]),
            Self::Session => json!([{"session": []}]),
            Self::Flags => json!([{"key": []}, {"flag_key": []}]),
            Self::Editor => json!([{"editor": []}]),
        }
    }
}

/// A name for programs that are made from the document: `post_experiments_assign_batch`.
fn operation_id(method: &Method, path: &str) -> String {
    let words = path
        .split(['/', '.', '-'])
        .filter(|word| !word.is_empty() && *word != "v1")
        .map(|word| match word.strip_prefix('{') {
            Some(name) => format!("by_{}", name.trim_end_matches('}')),
            None => word.to_owned(),
        });
    let words: Vec<String> = words.collect();
    format!(
        "{}_{}",
        method.as_str().to_ascii_lowercase(),
        words.join("_")
    )
}

const fn describe(status: u16) -> &'static str {
    match status {
        200 => "done",
        201 => "made",
        202 => "taken on",
        204 => "done; there is nothing to say",
        302 | 303 => "go there",
        400 => "the body cannot be read",
        401 => "nobody known asks",
        403 => "who asks may not",
        404 => "there is no such thing",
        408 => "the body did not arrive in time",
        409 => "not as things stand",
        410 => "it is over",
        412 => "somebody changed it meanwhile",
        413 => "the body is too large",
        415 => "the body is of another type",
        422 => "fields or parameters break a rule",
        429 => "too many requests; `Retry-After` says when to ask again",
        500 => "a fault of the server",
        502 => "somebody else's server failed",
        503 => "not now; `Retry-After` says when to ask again",
        _ => "see the status",
    }
}
