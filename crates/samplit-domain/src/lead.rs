//! Leads: what somebody leaves in a form on a site, the rules for it, and how a lead moves on.

use std::collections::BTreeMap;

use form_urlencoded::parse;
use serde_json::Value as Json;
use time::OffsetDateTime;

use crate::{ExperimentId, InstallationId, LeadId, UserId, VariantId, Violations, words};

/// The longest email, name, company and campaign field, in characters (`VARCHAR(255)`).
const MAX_TEXT: usize = 255;

/// The longest telephone number, in characters (`VARCHAR(50)`).
const MAX_PHONE: usize = 50;

/// The fewest digits of a telephone number.
const MIN_DIGITS: usize = 3;

/// The longest message and the longest note, in characters.
pub const MAX_LEAD_TEXT: usize = 10_000;

/// The longest name of a form, in characters (`VARCHAR(100)`).
pub const MAX_FORM_NAME: usize = 100;

/// The longest address of a page that is taken, in characters.
const MAX_URL: usize = 8_192;

/// How much of the address is kept, in characters (`VARCHAR(2048)`).
const KEPT_URL: usize = 2_048;

/// The most further fields of a form.
const MAX_FIELDS: usize = 30;

/// The longest name of a further field, in characters.
const MAX_FIELD_NAME: usize = 100;

/// The longest text of a further field, in characters.
const MAX_FIELD: usize = 1_000;

/// The most of message and further fields together, in bytes.
const MAX_BYTES: usize = 32 * 1024;

words! {
    /// How far a lead has come. The column `leads.status`.
    LeadStatus {
        /// Nobody has looked after it yet.
        New => "new",
        /// Somebody has written or called.
        Contacted => "contacted",
        /// It is worth following.
        Qualified => "qualified",
        /// It became a customer. Nothing follows.
        Converted => "converted",
        /// Nothing came of it; it may be taken up again.
        Lost => "lost",
    }
}

impl LeadStatus {
    /// What it may become.
    #[must_use]
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::New => &[Self::Contacted, Self::Qualified, Self::Lost],
            Self::Contacted => &[Self::Qualified, Self::Converted, Self::Lost],
            Self::Qualified => &[Self::Converted, Self::Lost],
            Self::Lost => &[Self::Contacted],
            Self::Converted => &[],
        }
    }
}

/// The campaign fields of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Utm {
    /// `utm_source`.
    pub source: Option<String>,
    /// `utm_medium`.
    pub medium: Option<String>,
    /// `utm_campaign`.
    pub campaign: Option<String>,
    /// `utm_term`.
    pub term: Option<String>,
    /// `utm_content`.
    pub content: Option<String>,
}

impl Utm {
    /// The parameters by which addresses and forms name the fields.
    pub const NAMES: [&'static str; 5] = [
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "utm_term",
        "utm_content",
    ];

    /// Those in the query of an address, cut to what is kept: a lead is not lost for a long link.
    #[must_use]
    pub fn of_url(url: &str) -> Self {
        let url = url.split('#').next().unwrap_or_default();
        let (_, query) = url.split_once('?').unwrap_or_default();
        let [source, medium, campaign, term, content] = Self::NAMES.map(|wanted| {
            let (_, text) = parse(query.as_bytes()).find(|(name, _)| name == wanted)?;
            let text: String = text
                .trim()
                .replace('\0', "")
                .chars()
                .take(MAX_TEXT)
                .collect();
            (!text.is_empty()).then_some(text)
        });
        Self {
            source,
            medium,
            campaign,
            term,
            content,
        }
    }

    /// The fields in the order of [`Self::NAMES`].
    #[must_use]
    pub fn fields(&self) -> [&Option<String>; 5] {
        let Self {
            source,
            medium,
            campaign,
            term,
            content,
        } = self;
        [source, medium, campaign, term, content]
    }

    /// Each field, or that of `other` where it says nothing.
    fn or(self, other: Self) -> Self {
        Self {
            source: self.source.or(other.source),
            medium: self.medium.or(other.medium),
            campaign: self.campaign.or(other.campaign),
            term: self.term.or(other.term),
            content: self.content.or(other.content),
        }
    }
}

/// What a form sends, not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadDraft {
    /// The sender's own id of this submission; what has the same one is the same lead.
    pub submission: Option<String>,
    /// What the form is called, 1 to 100 characters.
    pub form: Option<String>,
    /// The email of the person. It or a telephone number has to be there.
    pub email: Option<String>,
    /// The name of the person.
    pub name: Option<String>,
    /// Where the person works.
    pub company: Option<String>,
    /// The telephone number.
    pub phone: Option<String>,
    /// What the person wrote, up to [`MAX_LEAD_TEXT`] characters.
    pub message: Option<String>,
    /// The page with the form.
    pub url: Option<String>,
    /// The campaign; what is missing is taken from the address of the page.
    pub utm: Utm,
    /// Whatever else the form asks, at most 30 short texts.
    pub fields: BTreeMap<String, String>,
}

impl LeadDraft {
    /// The draft as it is kept: trimmed, without what is empty, the campaign filled in, a long address
    /// cut. Notes in `violations` every rule that is broken.
    #[must_use]
    pub fn tidy(self, violations: &mut Violations) -> Self {
        let url = tidy(self.url);
        let Utm {
            source,
            medium,
            campaign,
            term,
            content,
        } = self.utm;
        let utm = Utm {
            source: tidy(source),
            medium: tidy(medium),
            campaign: tidy(campaign),
            term: tidy(term),
            content: tidy(content),
        };
        let fields = self.fields.into_iter();
        let fields = fields.filter_map(|(name, text)| Some((name, tidy(Some(text))?)));
        let mut draft = Self {
            submission: tidy(self.submission),
            form: tidy(self.form),
            email: tidy(self.email),
            name: tidy(self.name),
            company: tidy(self.company),
            phone: tidy(self.phone),
            message: tidy(self.message),
            url,
            utm,
            fields: fields.collect(),
        };
        draft.check(violations);
        if let Some(url) = &mut draft.url {
            draft.utm = draft.utm.or(Utm::of_url(url));
            if let Some((end, _)) = url.char_indices().nth(KEPT_URL) {
                url.truncate(end);
            }
        }
        draft
    }

    fn check(&self, violations: &mut Violations) {
        if self.email.is_none() && self.phone.is_none() {
            violations.add(
                "/email",
                "required",
                "or a telephone number has to be there",
            );
        }
        if let Some(email) = &self.email {
            violations.email("/email", email);
        }
        if let Some(phone) = &self.phone {
            violations.length("/phone", phone, MAX_PHONE);
            if phone.chars().filter(char::is_ascii_digit).count() < MIN_DIGITS {
                violations.add("/phone", "malformed", "must be a telephone number");
            }
        }
        for (pointer, text, max) in [
            ("/submission_id", &self.submission, MAX_TEXT),
            ("/form", &self.form, MAX_FORM_NAME),
            ("/name", &self.name, MAX_TEXT),
            ("/company", &self.company, MAX_TEXT),
            ("/message", &self.message, MAX_LEAD_TEXT),
            ("/url", &self.url, MAX_URL),
        ] {
            violations.length(pointer, text.as_deref().unwrap_or_default(), max);
        }
        for (name, text) in Utm::NAMES.iter().zip(self.utm.fields()) {
            let text = text.as_deref().unwrap_or_default();
            violations.length(&format!("/{name}"), text, MAX_TEXT);
        }
        if let Some(url) = &self.url
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            violations.add("/url", "malformed", "must be an http or https URL");
        }
        if self.fields.len() > MAX_FIELDS {
            let detail = format!("at most {MAX_FIELDS} are allowed");
            violations.add("/fields", "out_of_range", detail);
        }
        for (name, text) in &self.fields {
            let pointer = crate::json_pointer("/fields", name);
            violations.text(&pointer, name, MAX_FIELD_NAME);
            violations.length(&pointer, text, MAX_FIELD);
        }
        let fields = self.fields.iter();
        let fields: usize = fields.map(|(name, text)| name.len() + text.len()).sum();
        let bytes = fields + self.message.as_ref().map_or(0, String::len);
        if bytes > MAX_BYTES {
            let detail = format!(
                "message and fields have {bytes} bytes together, at most {MAX_BYTES} are allowed"
            );
            violations.add("", "too_long", detail);
        }
    }
}

/// The text without white space around it; none where nothing is left.
fn tidy(text: Option<String>) -> Option<String> {
    let text = text?;
    let trimmed = text.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// A person who left contact details on a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Lead {
    /// Its id.
    pub id: LeadId,
    /// The account whose site captured it; none for rows older than that rule.
    pub user_id: Option<UserId>,
    /// The site that captured it.
    pub installation_id: Option<InstallationId>,
    /// The email of the person.
    pub email: Option<String>,
    /// The name of the person.
    pub name: Option<String>,
    /// Where the person works.
    pub company: Option<String>,
    /// The telephone number.
    pub phone: Option<String>,
    /// What the person wrote.
    pub message: Option<String>,
    /// How far it has come.
    pub status: LeadStatus,
    /// The form that captured it.
    pub source: Option<String>,
    /// The campaign that led to the page.
    pub utm: Utm,
    /// The page with the form.
    pub page_url: Option<String>,
    /// The experiment in which the person came to be last.
    pub experiment_id: Option<ExperimentId>,
    /// The variant of its first element that the person was given.
    pub variant_id: Option<VariantId>,
    /// The visitor, as assignments name it.
    pub visitor: Option<String>,
    /// `fields`: what else the form asked; `variants`: what the person was given, by experiment.
    pub metadata: Json,
    /// What its owner wrote about it.
    pub note: Option<String>,
    /// When it was captured.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// Grows by one with every change; the `ETag`.
    pub version: i64,
}

impl Lead {
    /// What to call it: the name, else the email, else the telephone number; none once it is erased.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        let told = [&self.name, &self.email, &self.phone];
        told.into_iter().flatten().map(String::as_str).next()
    }
}

#[cfg(test)]
mod tests {
    use super::{LeadDraft, LeadStatus, Utm, Violations};

    fn refused(draft: LeadDraft) -> Vec<String> {
        let mut violations = Violations::default();
        let _ = draft.tidy(&mut violations);
        let found = violations.0.iter();
        found.map(|v| format!("{} {}", v.pointer, v.code)).collect()
    }

    fn some(text: impl Into<String>) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn a_lead_moves_by_exactly_these_steps() {
        let mut steps = Vec::new();
        for &from in LeadStatus::ALL {
            steps.extend(from.next().iter().map(|to| format!("{from} -> {to}")));
        }
        assert_eq!(
            steps,
            [
                "new -> contacted",
                "new -> qualified",
                "new -> lost",
                "contacted -> qualified",
                "contacted -> converted",
                "contacted -> lost",
                "qualified -> converted",
                "qualified -> lost",
                "lost -> contacted",
            ]
        );
    }

    #[test]
    fn what_a_form_sends_is_tidied() {
        let url = format!(
            "https://a.test/?utm_source=news%20letter&utm_medium=&utm_term={}#x",
            "t".repeat(3_000)
        );
        let draft = LeadDraft {
            email: some(" Ada@Example.org\n"),
            name: some("  "),
            phone: some(""),
            url: some(&url),
            utm: Utm {
                source: some(" said "),
                ..Utm::default()
            },
            fields: [("size", " 10 "), ("nothing", " ")]
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .into(),
            ..LeadDraft::default()
        };
        let mut violations = Violations::default();
        let tidied = draft.tidy(&mut violations);
        assert_eq!(violations, Violations::default());
        assert_eq!(tidied.email.as_deref(), Some("Ada@Example.org"));
        assert_eq!((tidied.name, tidied.phone), (None, None));
        assert_eq!(tidied.url.unwrap().len(), 2_048);
        assert_eq!(tidied.utm.source.as_deref(), Some("said"));
        assert_eq!(tidied.utm.medium, None);
        assert_eq!(tidied.utm.term.unwrap().len(), 255);
        let fields: Vec<_> = tidied.fields.into_iter().collect();
        assert_eq!(fields, [("size".to_owned(), "10".to_owned())]);
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let long = |length: usize| some("x".repeat(length));
        let draft = LeadDraft {
            submission: long(256),
            form: long(101),
            email: some("ada"),
            name: some("a\0"),
            company: long(256),
            phone: some("call me"),
            message: long(10_001),
            url: some("javascript:alert(1)"),
            utm: Utm {
                campaign: long(256),
                ..Utm::default()
            },
            fields: [("a/b".to_owned(), "x".repeat(1_001))].into(),
        };
        assert_eq!(
            refused(draft),
            [
                "/email malformed",
                "/phone malformed",
                "/submission_id too_long",
                "/form too_long",
                "/name nul_character",
                "/company too_long",
                "/message too_long",
                "/utm_campaign too_long",
                "/url malformed",
                "/fields/a~1b too_long",
            ]
        );
        assert_eq!(refused(LeadDraft::default()), ["/email required"]);
        let large = |last: usize| {
            let field = |n: usize| {
                (
                    format!("{n:02}"),
                    "x".repeat(if n < 22 { 1_000 } else { last }),
                )
            };
            refused(LeadDraft {
                email: some("ada@example.org"),
                message: long(10_000),
                fields: (0..23).map(field).collect(),
                ..LeadDraft::default()
            })
        };
        // 10,000 and 22,000 and 23 names of two bytes.
        assert_eq!(large(32_768 - 32_046), [""; 0]);
        assert_eq!(large(32_768 - 32_046 + 1), [" too_long"]);
        let by_phone = LeadDraft {
            phone: some("+49 (30) 1234-5"),
            ..LeadDraft::default()
        };
        assert_eq!(refused(by_phone), [""; 0]);
    }
}
