//! Webhooks: which addresses hear of experiments, of what, and what became of each message.

mod list;
mod one;

use samplit_domain::{Webhook, WebhookEvent, WebhookOff};

pub(crate) use list::{create, list, new};
pub(crate) use one::{change, show};

use super::field::Choice;

/// The state of a webhook: for its badge, and in words.
fn state(webhook: &Webhook) -> (&'static str, &'static str) {
    match webhook.off {
        Some((WebhookOff::ByHand, _)) => ("archived", "off"),
        Some((WebhookOff::Gone, _)) => ("bad", "off: it is gone"),
        Some((WebhookOff::Failing, _)) => ("bad", "off: it kept failing"),
        None if webhook.failing_since.is_some() => ("warn", "failing"),
        None if webhook.last_success_at.is_some() => ("active", "works"),
        None => ("draft", "nothing sent yet"),
    }
}

/// What happened, in words.
const fn event(event: WebhookEvent) -> &'static str {
    match event {
        WebhookEvent::Started => "Started",
        WebhookEvent::Paused => "Paused",
        WebhookEvent::Resumed => "Resumed",
        WebhookEvent::Completed => "Completed",
        WebhookEvent::Archived => "Archived",
        WebhookEvent::WinnerFound => "Winner found",
        WebhookEvent::SampleRatioMismatch => "Sample ratio mismatch",
        WebhookEvent::CheckpointSigned => "Checkpoint signed",
        WebhookEvent::Test => "Test",
    }
}

/// What a webhook may hear of, for a form.
fn events() -> Vec<Choice> {
    let note = |of: WebhookEvent| match of {
        WebhookEvent::Started => "An experiment takes visitors.",
        WebhookEvent::Paused => "It takes no new ones for now.",
        WebhookEvent::Resumed => "It does again.",
        WebhookEvent::Completed => "It is over.",
        WebhookEvent::Archived => "It was put away.",
        WebhookEvent::WinnerFound => "Its stopping rule says for the first time that it may stop.",
        WebhookEvent::SampleRatioMismatch => "Visitors are not split as the weights say.",
        WebhookEvent::CheckpointSigned => "A checkpoint of its trail was signed.",
        WebhookEvent::Test => "",
    };
    let all = WebhookEvent::ALL.iter();
    let all = all.filter(|of| **of != WebhookEvent::Test);
    all.map(|&of| Choice::new(of.as_str(), event(of), note(of)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::events;

    #[test]
    fn everything_that_can_be_heard_of_has_words() {
        let events = events();
        assert_eq!(events.len(), 8);
        for choice in events {
            assert!(choice.note.ends_with('.'), "{}", choice.value);
        }
    }
}
