//! One request as a handler sees it: who asks, the ids of the path, the query, the body.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use hyper::{
    Method, StatusCode,
    body::{Body as _, Incoming},
    header::{
        AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderName, IF_MATCH, IF_NONE_MATCH, ORIGIN,
        USER_AGENT,
    },
    http::request::Parts,
};
use samplit_domain::{
    ApiKeyId, ExclusionId, ExperimentId, FunnelId, Installation, InstallationId, LeadId, Origin,
    SessionId, UserId, VariantId, WebhookDeliveryId, WebhookId,
};
use samplit_engine::{Device, Error, ErrorKind, Principal, SignedIn};
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::{
    address::client_address,
    app::App,
    body,
    fields::no_fields,
    json::StrictJson,
    problem::Problem,
    query::Query,
    request_id::RequestId,
    response::{Reply, empty, tagged},
    router::PathIds,
    session_cookie,
};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) request_id: RequestId,
    /// Who sent it: the client, or the last proxy before us.
    pub(crate) peer: IpAddr,
    pub(crate) ids: PathIds,
    pub(crate) head: Parts,
    pub(crate) body: Incoming,
    /// Leave to keep a large body in memory until the request is done.
    pub(crate) large_body: Option<body::Leave>,
}

impl Call {
    /// The token of the request.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(&AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Who asks: the holder of the request's API key, else whoever is signed in. A key that is about to
    /// change something is read again where it was read some time ago.
    pub(crate) async fn principal(&self) -> Result<Principal, Problem> {
        if self.head.headers.contains_key(AUTHORIZATION) && !self.is_safe() {
            let token = sound_key(self.bearer())?;
            let principal = self.app.engine.authenticate_now(token).await?;
            return self.within_limit(token, principal);
        }
        self.principal_of_visits().await
    }

    /// Who asks, for the traffic of visitors, which goes on while the database is away: a key is believed
    /// that was good when it was read.
    pub(crate) async fn principal_of_visits(&self) -> Result<Principal, Problem> {
        if self.head.headers.contains_key(AUTHORIZATION) {
            return self.let_in(self.bearer()).await;
        }
        Ok(self.signed_in().await?.principal)
    }

    /// Who is signed in. A browser sends its cookie along with whatever any page makes it send, so what
    /// changes something has to come from a page of our own.
    pub(crate) async fn signed_in(&self) -> Result<SignedIn, Problem> {
        let token = self.session_token().ok_or_else(Problem::unauthenticated)?;
        if !self.is_safe() {
            self.require_own_page()?;
        }
        let signed_in = self.app.engine.session(token).await?;
        if let Some(limit) = &self.app.limit {
            limit.check(token).map_err(Problem::rate_limited)?;
        }
        Ok(signed_in)
    }

    /// Whether the request only asks.
    fn is_safe(&self) -> bool {
        matches!(
            self.head.method,
            Method::GET | Method::HEAD | Method::OPTIONS
        )
    }

    /// The token in the cookie of a session, if there is one that looks like ours.
    pub(crate) fn session_token(&self) -> Option<&str> {
        session_cookie::read(&self.head.headers).filter(|token| is_well_formed(token, "ss_"))
    }

    /// Ends the session that the browser had before another one began for it, which nobody could end any
    /// more once its cookie is gone.
    pub(crate) async fn end_former_session(&self) {
        if let Some(token) = self.session_token()
            && let Err(error) = self.app.engine.sign_out(token).await
        {
            // Whoever has just used up a link has to come in.
            tracing::warn!(error = ?error, "the session before could not be ended");
        }
    }

    /// Refuses what no page of this server asked for, as far as the browser says. For what changes
    /// something in the name of a cookie.
    pub(crate) fn require_own_page(&self) -> Result<(), Problem> {
        match self.comes_from_us() {
            Some(true) => Ok(()),
            Some(false) | None => Err(Problem::cross_site()),
        }
    }

    /// Refuses what a page of somebody else makes a browser send. For what needs no cookie, and so may
    /// also come from programs, which say nothing about pages.
    pub(crate) fn refuse_other_sites(&self) -> Result<(), Problem> {
        match self.comes_from_us() {
            Some(false) => Err(Problem::cross_site()),
            Some(true) | None => Ok(()),
        }
    }

    /// Whether the request comes from a page of this server, as far as the browser says.
    fn comes_from_us(&self) -> Option<bool> {
        if let Some(site) = self.head.headers.get(SEC_FETCH_SITE) {
            return Some(site == "same-origin");
        }
        let origin = self.head.headers.get(ORIGIN)?;
        let origin: Option<Origin> = origin.to_str().ok().and_then(|text| text.parse().ok());
        Some(origin.is_some() && origin == self.public_url())
    }

    /// With what somebody signs in.
    pub(crate) fn device(&self) -> Device {
        Device {
            address: Some(self.client_address()),
            user_agent: self.header(&USER_AGENT).map(str::to_owned),
        }
    }

    /// The holder of the request's API key, which may stand in `X-API-Key` as well.
    pub(crate) async fn principal_of_flags(&self) -> Result<Principal, Problem> {
        let token = self.bearer().or_else(|| self.header(&X_API_KEY));
        self.let_in(token).await
    }

    async fn let_in(&self, token: Option<&str>) -> Result<Principal, Problem> {
        let token = sound_key(token)?;
        let principal = self.app.engine.authenticate(token).await?;
        self.within_limit(token, principal)
    }

    /// Whoever was let in by `token`, unless it asks too often.
    fn within_limit(&self, token: &str, principal: Principal) -> Result<Principal, Problem> {
        if let Some(limit) = &self.app.limit {
            limit.check(token).map_err(Problem::rate_limited)?;
        }
        Ok(principal)
    }

    /// The installation whose token this is.
    pub(crate) async fn open_installation(
        &self,
        token: &str,
    ) -> Result<Arc<Installation>, Problem> {
        if !is_well_formed(token, "pk_") {
            return Err(Problem::from(Error::from(ErrorKind::UnknownInstallation)));
        }
        Ok(self.app.engine.open_installation(token).await?)
    }

    /// Checks how often the client asks for pages of one installation.
    pub(crate) fn check_page_limit(&self, installation: &Installation) -> Result<(), Problem> {
        let Some(limit) = &self.app.page_limit else {
            return Ok(());
        };
        let key = (installation.id, self.client_network());
        limit.check(&key).map_err(Problem::rate_limited)
    }

    /// Checks how often the client sends forms of one installation.
    pub(crate) fn check_lead_limit(&self, installation: &Installation) -> Result<(), Problem> {
        let key = (installation.id, self.client_network());
        let checked = self.app.lead_limit.check(&key);
        checked.map_err(Problem::rate_limited)
    }

    /// Checks how often forms of one installation are sent by all together.
    pub(crate) fn check_lead_site_limit(&self, installation: &Installation) -> Result<(), Problem> {
        let checked = self.app.lead_site_limit.check(&installation.id);
        checked.map_err(Problem::rate_limited)
    }

    /// The address of the client, for counting: whoever has an IPv6 address has the whole /64.
    fn client_network(&self) -> u64 {
        match self.client_address() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
        }
    }

    /// Where the request comes from, as far as proxies are trusted.
    pub(crate) fn client_address(&self) -> IpAddr {
        let trusted = &self.app.config.trusted_proxies;
        client_address(self.peer, &self.head.headers, trusted)
    }

    /// A header, if it is there and text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Whether the client has an answer with this entity tag already.
    pub(crate) fn knows(&self, tag: &str) -> bool {
        let known = self.header(&IF_NONE_MATCH).unwrap_or_default();
        let mut known = known
            .split(',')
            .map(|known| known.trim().trim_start_matches("W/"));
        known.any(|known| known == tag || known == "*")
    }

    /// The answer, or that the client has it already.
    pub(crate) fn unless_known(&self, reply: Reply) -> Reply {
        let tag = reply.headers().get(ETAG).cloned();
        match tag {
            Some(tag) if tag.to_str().is_ok_and(|tag| self.knows(tag)) => {
                tagged(empty(StatusCode::NOT_MODIFIED), tag)
            }
            _ => reply,
        }
    }

    /// How pages reach this server: as it is configured, else by the host that the client names, over
    /// TLS unless that is this machine.
    fn public_url(&self) -> Option<Origin> {
        if let Some(public) = &self.app.config.public_url {
            return Some(public.clone());
        }
        let host = self.header(&HOST)?;
        let secure: Origin = format!("https://{host}").parse().ok()?;
        if secure.is_local() {
            format!("http://{host}").parse().ok()
        } else {
            Some(secure)
        }
    }

    /// Whether a page of `origin` is of the same site as this server, as far as `installation` knows;
    /// without one, as far as their names alone show.
    pub(crate) fn is_same_site(
        &self,
        origin: &Origin,
        installation: Option<&Installation>,
    ) -> bool {
        let Some(server) = self.public_url() else {
            return false;
        };
        installation.map_or_else(
            || server.is_at_or_below(origin),
            |installation| installation.is_same_site(origin, &server),
        )
    }

    /// The address of something on this server.
    pub(crate) fn url_of(&self, path: &str) -> Result<String, Problem> {
        let server = self.public_url().ok_or_else(Problem::unknown_host)?;
        Ok(format!("{server}{path}"))
    }

    /// The installation of the path.
    pub(crate) fn installation_id(&self) -> InstallationId {
        let installation = self.ids.installation;
        installation.expect("the pattern of the route has {installation_id}")
    }

    /// The token of the path.
    pub(crate) fn installation_token(&self) -> &str {
        let token = self.ids.token.as_deref();
        token.expect("the pattern of the route has {token}")
    }

    /// The token of the link of the path.
    pub(crate) fn link_token(&self) -> &str {
        self.installation_token()
    }

    /// The exclusion rule of the path.
    pub(crate) fn exclusion_id(&self) -> ExclusionId {
        let exclusion = self.ids.exclusion;
        exclusion.expect("the pattern of the route has {exclusion_id}")
    }

    /// The funnel of the path.
    pub(crate) fn funnel_id(&self) -> FunnelId {
        let funnel = self.ids.funnel;
        funnel.expect("the pattern of the route has {funnel_id}")
    }

    /// The webhook of the path.
    pub(crate) fn webhook_id(&self) -> WebhookId {
        let webhook = self.ids.webhook;
        webhook.expect("the pattern of the route has {webhook_id}")
    }

    /// The delivery of the path.
    pub(crate) fn delivery_id(&self) -> WebhookDeliveryId {
        let delivery = self.ids.delivery;
        delivery.expect("the pattern of the route has {delivery_id}")
    }

    /// The lead of the path.
    pub(crate) fn lead_id(&self) -> LeadId {
        let lead = self.ids.lead;
        lead.expect("the pattern of the route has {lead_id}")
    }

    /// The file of the path.
    pub(crate) fn asset(&self) -> &str {
        let asset = self.ids.asset.as_deref();
        asset.expect("the pattern of the route has {asset}")
    }

    /// The account of the path.
    pub(crate) fn user_id(&self) -> UserId {
        let user = self.ids.user;
        user.expect("the pattern of the route has {user_id}")
    }

    /// The session of the path.
    pub(crate) fn session_id(&self) -> SessionId {
        let session = self.ids.session;
        session.expect("the pattern of the route has {session_id}")
    }

    /// The API key of the path.
    pub(crate) fn key_id(&self) -> ApiKeyId {
        let key = self.ids.api_key;
        key.expect("the pattern of the route has {key_id}")
    }

    /// The flag of the path.
    pub(crate) fn flag(&self) -> &str {
        let flag = self.ids.flag.as_deref();
        flag.expect("the pattern of the route has {key}")
    }

    /// The plan of the path.
    pub(crate) fn plan(&self) -> &str {
        let plan = self.ids.plan.as_deref();
        plan.expect("the pattern of the route has {name}")
    }

    /// The experiment of the path.
    pub(crate) fn experiment_id(&self) -> ExperimentId {
        self.ids
            .experiment
            .expect("the pattern of the route has {id}")
    }

    /// The variant of the path.
    pub(crate) fn variant_id(&self) -> VariantId {
        self.ids
            .variant
            .expect("the pattern of the route has {variant_id}")
    }

    /// The visitor of the path.
    pub(crate) fn visitor(&self) -> &str {
        let visitor = self.ids.visitor.as_deref();
        visitor.expect("the pattern of the route has {visitor}")
    }

    pub(crate) fn query(&self) -> Query {
        Query::parse(self.head.uri.query().unwrap_or_default())
    }

    /// The version that the client has seen, if it insists on it.
    pub(crate) fn if_match(&self) -> Result<Option<i64>, Problem> {
        let Some(tag) = self.head.headers.get(IF_MATCH) else {
            return Ok(None);
        };
        match tag.to_str().map(str::trim) {
            Ok("*") => Ok(None),
            Ok(tag) => tag
                .strip_prefix("\"v")
                .and_then(|rest| rest.strip_suffix('"'))
                // What moves without a new version is in nobody's way.
                .map(|rest| rest.split_once('.').map_or(rest, |(version, _)| version))
                .and_then(|version| version.parse().ok())
                .map(Some)
                .ok_or_else(Problem::unknown_etag),
            Err(_) => Err(Problem::unknown_etag()),
        }
    }

    /// The bytes of a body that has to be JSON.
    pub(crate) async fn json_bytes(&mut self) -> Result<Bytes, Problem> {
        if !self.is_of_type("application/json") {
            return Err(Problem::unsupported_media_type());
        }
        self.bytes().await
    }

    /// The bytes of a body that has to be a form.
    pub(crate) async fn form_bytes(&mut self) -> Result<Bytes, Problem> {
        if !self.is_form() {
            return Err(Problem::not_a_form());
        }
        self.bytes().await
    }

    /// A body of JSON that a page sends, perhaps as text: of other origins that goes without asking
    /// before, and as the page is being left.
    pub(crate) async fn page_json(&mut self) -> Result<Json, Problem> {
        if !self.is_of_type("application/json") && !self.is_of_type("text/plain") {
            return Err(Problem::unsupported_media_type());
        }
        parse(&self.bytes().await?)
    }

    /// A body that has to be there.
    pub(crate) async fn json(&mut self) -> Result<Json, Problem> {
        parse(&self.json_bytes().await?)
    }

    /// A body that may be absent: an empty object then.
    pub(crate) async fn optional_json(&mut self) -> Result<Json, Problem> {
        if self.body.is_end_stream() {
            return Ok(Json::Object(serde_json::Map::new()));
        }
        self.json().await
    }

    /// A body that says nothing: absent, or an object without a field.
    pub(crate) async fn no_fields(&mut self) -> Result<(), Problem> {
        no_fields(self.optional_json().await?)
    }

    /// A body that is text.
    pub(crate) async fn text(&mut self) -> Result<String, Problem> {
        let bytes = self.bytes().await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes of any body.
    pub(crate) async fn bytes(&mut self) -> Result<Bytes, Problem> {
        let limit = self.app.config.body_limit;
        let announced = self.body.size_hint().lower();
        if usize::try_from(announced).is_ok_and(|length| length > limit) {
            return Err(Problem::body_too_large(limit));
        }
        let deadline = Instant::now() + self.app.config.request_timeout;
        let large = (&self.app.large_bodies, self.client_network());
        let (bytes, leave) = body::read(&mut self.body, limit, large, deadline).await?;
        self.large_body = leave;
        Ok(bytes)
    }

    /// Whether the body is said to be a form.
    pub(crate) fn is_form(&self) -> bool {
        self.is_of_type("application/x-www-form-urlencoded")
    }

    fn is_of_type(&self, wanted: &str) -> bool {
        let content_type = self.head.headers.get(CONTENT_TYPE);
        let essence = content_type
            .and_then(|value| value.to_str().ok())
            .map(|value| value.split(';').next().unwrap_or_default().trim());
        essence.is_some_and(|essence| essence.eq_ignore_ascii_case(wanted))
    }
}

/// What may be a key. Anything else is not worth a question to the database.
fn sound_key(token: Option<&str>) -> Result<&str, Problem> {
    token
        .filter(|token| is_well_formed(token, "sk_"))
        .ok_or_else(Problem::unauthenticated)
}

/// Whether a token looks like one of ours: its prefix and 32 bytes in URL-safe Base64 without padding.
pub(crate) fn is_well_formed(token: &str, prefix: &str) -> bool {
    token.strip_prefix(prefix).is_some_and(|secret| {
        let is_symbol = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        secret.len() == 43 && secret.bytes().all(is_symbol)
    })
}

/// Reads any JSON, refusing repeated keys.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json, Problem> {
    match serde_json::from_slice(bytes) {
        Ok(StrictJson(json)) => Ok(json),
        Err(error) => Err(Problem::malformed_json(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::is_well_formed;

    #[test]
    fn a_key_has_its_prefix_its_length_and_its_alphabet() {
        let secret = "Az09-_".repeat(8);
        let key = |length: usize| format!("sk_{}", &secret[..length]);
        assert!(is_well_formed(&key(43), "sk_"));
        assert!(!is_well_formed(&key(43), "pk_"));
        for bad in [
            String::new(),
            "sk_".to_owned(),
            key(42),
            key(44),
            key(43).replace("sk_", "pk_"),
            key(43).replace('-', "+"),
            format!("{}=", key(42)),
            format!("{}é", key(41)),
        ] {
            assert!(!is_well_formed(&bad, "sk_"), "{bad}");
        }
    }
}
