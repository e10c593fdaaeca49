//! One field of a form as HTML: label, hint, control, and what is wrong with it, tied together for
//! screen readers.

use askama::{Template, filters::HtmlSafe};

use super::form::{Form, id};

/// A field that is being put together: `form.field("/name", "Name").required().hint("...")`.
#[derive(Debug, Template)]
#[template(path = "dashboard/field.html")]
pub(crate) struct Field<'f> {
    form: &'f Form,
    name: String,
    label: String,
    control: Control,
    hint: Option<String>,
    unit: Option<&'static str>,
    placeholder: Option<String>,
    autocomplete: Option<&'static str>,
    input_mode: Option<&'static str>,
    max_length: Option<usize>,
    class: &'static str,
    required: bool,
    optional: bool,
    autofocus: bool,
}

#[derive(Debug, PartialEq)]
enum Control {
    /// An input of this type.
    Input(&'static str),
    /// A text of so many lines.
    Area(usize),
    /// One of several, in a list that opens.
    Select(Vec<Choice>),
    /// One of several, all in sight.
    Radios(Vec<Choice>),
    /// Any of several; the field holds a list.
    Boxes(Vec<Choice>),
    /// Yes or no.
    Check,
}

/// One of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What is sent.
    pub(crate) value: String,
    /// What it is called.
    pub(crate) label: String,
    /// What it means; may be empty.
    pub(crate) note: String,
}

impl Choice {
    pub(crate) fn new(
        value: impl Into<String>,
        label: impl Into<String>,
        note: impl Into<String>,
    ) -> Self {
        Self {
            value: value.into(),
            label: label.into(),
            note: note.into(),
        }
    }
}

impl Form {
    /// The field of this name, a line of text so far.
    pub(crate) fn field(&self, name: impl Into<String>, label: impl Into<String>) -> Field<'_> {
        Field {
            form: self,
            name: name.into(),
            label: label.into(),
            control: Control::Input("text"),
            hint: None,
            unit: None,
            placeholder: None,
            autocomplete: None,
            input_mode: None,
            max_length: None,
            class: "",
            required: false,
            optional: false,
            autofocus: false,
        }
    }
}

impl Field<'_> {
    /// What to know before filling it in.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Cannot be left empty.
    pub(crate) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Says beside the label that it may stay empty.
    pub(crate) fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Where the cursor is when the page opens, unless something is wrong.
    pub(crate) fn autofocus(mut self) -> Self {
        self.autofocus = true;
        self
    }

    /// What stands in it while it is empty: an example, and nothing that has to be read.
    pub(crate) fn placeholder(mut self, example: impl Into<String>) -> Self {
        self.placeholder = Some(example.into());
        self
    }

    /// What browsers may fill in.
    pub(crate) fn autocomplete(mut self, what: &'static str) -> Self {
        self.autocomplete = Some(what);
        self
    }

    /// At most so many characters.
    pub(crate) fn max_length(mut self, characters: usize) -> Self {
        self.max_length = Some(characters);
        self
    }

    /// As wide as a number.
    pub(crate) fn short(mut self) -> Self {
        self.class = "short";
        self
    }

    /// In the type of code.
    pub(crate) fn code(mut self) -> Self {
        self.class = "code";
        self
    }

    /// A number, with a unit behind it that may be empty.
    pub(crate) fn number(mut self, unit: &'static str) -> Self {
        self.unit = (!unit.is_empty()).then_some(unit);
        self.input_mode = Some("decimal");
        self.short()
    }

    /// An address for mail.
    pub(crate) fn email(mut self) -> Self {
        self.control = Control::Input("email");
        self
    }

    /// A secret: shown as dots, and never sent back to the page.
    pub(crate) fn password(mut self) -> Self {
        self.control = Control::Input("password");
        self
    }

    /// Several lines.
    pub(crate) fn area(mut self, lines: usize) -> Self {
        self.control = Control::Area(lines);
        self
    }

    /// One of several, in a list that opens.
    pub(crate) fn select(mut self, choices: Vec<Choice>) -> Self {
        self.control = Control::Select(choices);
        self
    }

    /// One of several, all in sight, each with what it means.
    pub(crate) fn radios(mut self, choices: Vec<Choice>) -> Self {
        self.control = Control::Radios(choices);
        self
    }

    /// Any of several; the field is a list.
    pub(crate) fn boxes(mut self, choices: Vec<Choice>) -> Self {
        self.control = Control::Boxes(choices);
        self
    }

    /// Yes or no; the name should end with `:boolean`.
    pub(crate) fn check(mut self) -> Self {
        self.control = Control::Check;
        self
    }

    fn id(&self) -> String {
        id(&self.name)
    }

    fn text(&self) -> String {
        match self.control {
            Control::Input("password") => String::new(),
            _ => self.form.text(&self.name),
        }
    }

    fn error(&self) -> Option<String> {
        match &self.control {
            // What is wrong with one box is wrong with the list.
            Control::Boxes(_) => self.form.error(&format!("{}:lines", self.name)),
            _ => self.form.error(&self.name),
        }
    }

    /// The ids of what describes the control.
    fn described_by(&self) -> Option<String> {
        let id = self.id();
        let hint = self.hint.as_ref().map(|_| format!("{id}-hint"));
        let error = self.error().map(|_| format!("{id}-error"));
        let ids: Vec<String> = [hint, error].into_iter().flatten().collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    fn takes_focus(&self) -> bool {
        self.autofocus && self.form.note().is_none()
    }

    fn is_group(&self) -> bool {
        matches!(self.control, Control::Radios(_) | Control::Boxes(_))
    }

    fn is_chosen(&self, choice: &Choice) -> bool {
        match self.control {
            Control::Boxes(_) => self.form.has(&self.name, &choice.value),
            _ => self.form.is(&self.name, &choice.value),
        }
    }
}

/// Its template escapes what comes from people.
impl HtmlSafe for Field<'_> {}

#[cfg(test)]
mod tests {
    use samplit_domain::Violations;
    use serde_json::json;

    use super::{Choice, Form};
    use crate::problem::Problem;

    #[test]
    fn a_field_ties_its_parts_together_and_escapes_them() {
        let mut violations = Violations::default();
        violations.add("/name", "too_long", "is too long");
        let form = Form::of(json!({"name": "<b>"}));
        let clean = form.field("/name", "Name").hint("A <hint>").to_string();
        assert!(clean.contains(r#"<label for="f-name">Name"#), "{clean}");
        assert!(
            clean.contains(r#"aria-describedby="f-name-hint""#),
            "{clean}"
        );
        assert!(clean.contains(r#"value="&#60;b&#62;""#), "{clean}");
        assert!(
            !clean.contains("aria-invalid") && !clean.contains("<hint>"),
            "{clean}"
        );

        let form = Form::of(json!({"name": "x"}));
        let form = form.refused(Problem::invalid(violations)).unwrap();
        let wrong = form.field("/name", "Name").hint("hint").to_string();
        assert!(wrong.contains(r#"aria-invalid="true""#), "{wrong}");
        assert!(
            wrong.contains(r#"aria-describedby="f-name-hint f-name-error""#),
            "{wrong}"
        );
        assert!(wrong.contains("This is too long."), "{wrong}");
    }

    #[test]
    fn a_password_is_never_sent_back() {
        let form = Form::of(json!({"password": "correct horse"}));
        let html = form.field("/password", "Password").password().to_string();
        assert!(!html.contains("horse"), "{html}");
    }

    #[test]
    fn what_is_chosen_is_marked() {
        let form = Form::of(json!({"role": "client", "scopes": ["read"], "on": true}));
        let choices = || {
            let choice = |word: &str| Choice::new(word, word, "");
            vec![choice("client"), choice("read"), choice("other")]
        };
        let select = form.field("/role", "Role").select(choices()).to_string();
        assert!(
            select.contains(r#"<option value="client" selected>"#),
            "{select}"
        );
        let boxes = form.field("/scopes", "May").boxes(choices()).to_string();
        assert!(
            boxes.contains(r#"name="/scopes/-" value="read" checked"#),
            "{boxes}"
        );
        assert_eq!(boxes.matches(" checked").count(), 1, "{boxes}");
        let check = form.field("/on:boolean", "On").check().to_string();
        assert!(check.contains(r#"value="true" checked"#), "{check}");
        assert!(
            check.contains(r#"type="hidden" name="/on:boolean" value="false""#),
            "{check}"
        );
    }
}
