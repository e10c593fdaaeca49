//! `/leads`: what people leave in forms on sites, and what becomes of it.

mod list;
mod one;

pub(crate) use self::list::list;
pub(crate) use self::one::{change, show};

use samplit_domain::{Installation, LeadStatus};
use samplit_engine::Page;

use crate::{call::Call, problem::Problem};

/// A status for its badge.
fn badge(status: LeadStatus) -> &'static str {
    match status {
        LeadStatus::New => "info",
        LeadStatus::Contacted => "warn",
        LeadStatus::Qualified => "active",
        LeadStatus::Converted => "completed",
        LeadStatus::Lost => "archived",
    }
}

/// The form that a site may carry.
struct FormCode {
    /// The site whose token is in it.
    site: String,
    /// What to paste.
    html: String,
}

impl FormCode {
    /// For the newest site that whoever asks may see; none where there is no site.
    async fn new(call: &Call, who: &samplit_engine::Principal) -> Result<Option<Self>, Problem> {
        let newest = Page {
            cursor: None,
            limit: 1,
        };
        let sites = call.app.engine.installations(who, &newest).await?;
        let code = sites.data.into_iter().next().map(|site| {
            Ok::<_, Problem>(Self {
                html: html(&call.url_of("/v1/leads")?, &site),
                site: if site.name.is_empty() {
                    site.domain
                } else {
                    site.name
                },
            })
        });
        code.transpose()
    }
}

fn html(action: &str, site: &Installation) -> String {
    format!(
        r#"<form method="post" action="{action}">
  <input type="hidden" name="token" value="{token}">
  <input type="hidden" name="form" value="contact">
  <input type="hidden" name="visitor_id">
  <p hidden><input name="website" tabindex="-1" autocomplete="off"></p>
  <p><label>Name <input name="name" autocomplete="name"></label></p>
  <p><label>Email <input type="email" name="email" autocomplete="email" required></label></p>
  <p><label>Message <textarea name="message" rows="5"></textarea></label></p>
  <p><button>Send</button></p>
</form>
<script>
  document.addEventListener("submit", ({{ target }}) => {{
    const visitor = target.elements.visitor_id;
    if (visitor) try {{ visitor.value = JSON.parse(localStorage.samplit_visitor); }} catch {{}}
  }}, true);
</script>"#,
        token = site.token,
    )
}
