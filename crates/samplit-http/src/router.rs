//! From method and path to a handler. One table of routes makes the matcher, the `Allow` header
//! and the labels of the metrics.

use futures_util::future::BoxFuture;
use hyper::{Method, header::HeaderValue};
use percent_encoding::percent_decode_str;
use samplit_domain::{
    ApiKeyId, ExclusionId, ExperimentId, FunnelId, InstallationId, LeadId, SessionId, UserId,
    VariantId, Violations, WebhookDeliveryId, WebhookId,
};

use crate::{call::Call, meter::Meter, problem::Problem, response::Reply};

/// What answers a route.
pub(crate) type Handler = fn(Call) -> BoxFuture<'static, Result<Reply, Problem>>;

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) pattern: &'static str,
    pub(crate) handler: Handler,
    /// Whether the answer has to be made within the request timeout.
    pub(crate) timed: bool,
    /// Whether people look at it: then a refusal is a page as well.
    pub(crate) page: bool,
}

/// The ids that a path holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathIds {
    /// `{id}`
    pub(crate) experiment: Option<ExperimentId>,
    /// `{variant_id}`
    pub(crate) variant: Option<VariantId>,
    /// `{installation_id}`
    pub(crate) installation: Option<InstallationId>,
    /// `{exclusion_id}`
    pub(crate) exclusion: Option<ExclusionId>,
    /// `{user_id}`
    pub(crate) user: Option<UserId>,
    /// `{session_id}`
    pub(crate) session: Option<SessionId>,
    /// `{key_id}`, of the API
    pub(crate) api_key: Option<ApiKeyId>,
    /// `{key}`, of a flag; any text
    pub(crate) flag: Option<String>,
    /// `{visitor}`
    pub(crate) visitor: Option<String>,
    /// `{token}`, of an installation
    pub(crate) token: Option<String>,
    /// `{funnel_id}`
    pub(crate) funnel: Option<FunnelId>,
    /// `{webhook_id}`
    pub(crate) webhook: Option<WebhookId>,
    /// `{delivery_id}`
    pub(crate) delivery: Option<WebhookDeliveryId>,
    /// `{lead_id}`
    pub(crate) lead: Option<LeadId>,
    /// `{asset}`, the name of a file
    pub(crate) asset: Option<String>,
    /// `{hook}`, the secret of an address for hooks
    pub(crate) hook: Option<String>,
    /// `{name}`, of a plan; any text
    pub(crate) plan: Option<String>,
}

/// A pattern with everything that answers it.
#[derive(Debug)]
pub(crate) struct PathRoutes {
    pub(crate) pattern: &'static str,
    pub(crate) meter: Meter,
    routes: Vec<Route>,
    allow: HeaderValue,
}

#[derive(Debug)]
pub(crate) struct Router {
    paths: matchit::Router<PathRoutes>,
    unmatched: PathRoutes,
}

/// Where a request goes: the path for its label, and what to do.
pub(crate) type Found<'r> = (&'r PathRoutes, Result<(&'r Route, PathIds), Problem>);

impl Router {
    /// # Panics
    /// If two patterns of `table` collide, which the first test would show.
    pub(crate) fn new(table: Vec<Route>) -> Self {
        let mut by_pattern: Vec<(&'static str, Vec<Route>)> = Vec::new();
        for route in table {
            match by_pattern
                .iter_mut()
                .find(|(pattern, _)| *pattern == route.pattern)
            {
                Some((_, routes)) => routes.push(route),
                None => by_pattern.push((route.pattern, vec![route])),
            }
        }
        let mut paths = matchit::Router::new();
        for (pattern, routes) in by_pattern {
            paths
                .insert(pattern, PathRoutes::new(pattern, routes))
                .expect("the table of routes is fixed and its patterns do not collide");
        }
        Self {
            paths,
            unmatched: PathRoutes::new("unmatched", Vec::new()),
        }
    }

    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Ok(found) = self.paths.at(path) else {
            return (&self.unmatched, Err(Problem::not_found("path")));
        };
        (found.value, found.value.choose(method, &found.params))
    }
}

impl PathRoutes {
    fn new(pattern: &'static str, routes: Vec<Route>) -> Self {
        let mut methods: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        let allow = HeaderValue::try_from(methods.join(", "));
        Self {
            pattern,
            meter: Meter::new(pattern),
            allow: allow.expect("names of methods are legal in a header"),
            routes,
        }
    }

    /// Whether a refusal has to be one that people can read.
    pub(crate) fn is_page(&self) -> bool {
        self.routes.iter().any(|route| route.page)
    }

    /// Whether no pattern is known for the path.
    pub(crate) fn is_unmatched(&self) -> bool {
        self.routes.is_empty()
    }

    fn choose(
        &self,
        method: &Method,
        params: &matchit::Params<'_, '_>,
    ) -> Result<(&Route, PathIds), Problem> {
        // hyper leaves the body of the answer to a HEAD out.
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let route = self.routes.iter().find(|route| route.method == *method);
        let route = route.ok_or_else(|| Problem::method_not_allowed(self.allow.clone()))?;
        let ids = PathIds {
            experiment: id(params, "id", "experiment")?,
            variant: id(params, "variant_id", "variant")?,
            installation: id(params, "installation_id", "installation")?,
            exclusion: id(params, "exclusion_id", "exclusion rule")?,
            user: id(params, "user_id", "user")?,
            session: id(params, "session_id", "session")?,
            api_key: id(params, "key_id", "API key")?,
            flag: text(params, "key"),
            plan: text(params, "name"),
            token: params.get("token").map(str::to_owned),
            funnel: id(params, "funnel_id", "funnel")?,
            webhook: id(params, "webhook_id", "webhook")?,
            delivery: id(params, "delivery_id", "delivery")?,
            lead: id(params, "lead_id", "lead")?,
            asset: params.get("asset").map(str::to_owned),
            hook: params.get("hook").map(str::to_owned),
            visitor: params.get("visitor").map(visitor).transpose()?,
        };
        Ok((route, ids))
    }
}

/// An id of the path. One that is no UUID is that of nothing: 404.
fn id<T: std::str::FromStr>(
    params: &matchit::Params<'_, '_>,
    name: &str,
    noun: &str,
) -> Result<Option<T>, Problem> {
    let Some(raw) = params.get(name) else {
        return Ok(None);
    };
    let text = percent_decode_str(raw).decode_utf8_lossy();
    let id = text.parse().map_err(|_| Problem::not_found(noun))?;
    Ok(Some(id))
}

/// Any text of the path.
fn text(params: &matchit::Params<'_, '_>, name: &str) -> Option<String> {
    let raw = params.get(name)?;
    Some(percent_decode_str(raw).decode_utf8_lossy().into_owned())
}

/// A visitor of the path, by the rules that visitors have everywhere.
fn visitor(raw: &str) -> Result<String, Problem> {
    let pointer = "{visitor}";
    let mut violations = Violations::default();
    let text = percent_decode_str(raw).decode_utf8();
    match &text {
        Ok(text) => violations.visitor(pointer, text),
        Err(_) => violations.add(pointer, "malformed", "must be UTF-8, percent-encoded"),
    }
    let text = text.unwrap_or_default().into_owned();
    violations.into_result(text).map_err(Problem::invalid)
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::{Problem, Route, Router};

    const ID: &str = "0197f0a0-0000-7000-8000-000000000001";

    fn router() -> Router {
        let route = |method, pattern| Route {
            method,
            pattern,
            handler: |_call| Box::pin(async { Err(Problem::not_found("path")) }),
            timed: true,
            page: false,
        };
        Router::new(vec![
            route(Method::GET, "/things"),
            route(Method::POST, "/things"),
            route(Method::GET, "/things/{id}"),
            route(Method::POST, "/things/{id}/parts/{variant_id}/on"),
        ])
    }

    #[test]
    fn method_and_path_choose_the_route() {
        let upper = ID.to_uppercase();
        let cases = [
            ("GET", "/things".to_owned(), "/things: GET"),
            ("HEAD", "/things".to_owned(), "/things: GET"),
            ("POST", "/things".to_owned(), "/things: POST"),
            (
                "PUT",
                "/things".to_owned(),
                "/things: 405 this path answers GET, POST, HEAD only",
            ),
            (
                "GET",
                "/things/".to_owned(),
                "unmatched: 404 there is no such path",
            ),
            (
                "GET",
                "/".to_owned(),
                "unmatched: 404 there is no such path",
            ),
            ("GET", format!("/things/{ID}"), "/things/{id}: GET 1"),
            ("GET", format!("/things/{upper}"), "/things/{id}: GET 1"),
            (
                "GET",
                format!("/things/{}", ID.replace('-', "%2D")),
                "/things/{id}: GET 1",
            ),
            (
                "GET",
                "/things/7".to_owned(),
                "/things/{id}: 404 there is no such experiment",
            ),
            (
                "GET",
                "/things/%ff".to_owned(),
                "/things/{id}: 404 there is no such experiment",
            ),
            (
                "POST",
                format!("/things/{ID}/parts/{ID}/on"),
                "/things/{id}/parts/{variant_id}/on: POST 1 1",
            ),
            (
                "POST",
                format!("/things/{ID}/parts/x/on"),
                "/things/{id}/parts/{variant_id}/on: 404 there is no such variant",
            ),
            (
                "POST",
                format!("/things/{ID}/parts/{ID}/off"),
                "unmatched: 404 there is no such path",
            ),
        ];
        let router = router();
        for (method, path, expected) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let (routes, found) = router.find(&method, &path);
            let found = match found {
                Ok((route, ids)) => {
                    let experiment = ids.experiment.map(|_| " 1").unwrap_or_default();
                    let variant = ids.variant.map(|_| " 1").unwrap_or_default();
                    format!("{}{experiment}{variant}", route.method)
                }
                Err(problem) => format!("{} {}", problem.status.as_u16(), problem.detail),
            };
            assert_eq!(
                format!("{}: {found}", routes.pattern),
                expected,
                "{method} {path}"
            );
        }
    }
}
