//! How an element is found on a page.

use crate::words;

/// The longest selector, in characters.
pub const MAX_SELECTOR: usize = 1_024;

words! {
    /// The column `experiment_elements.selector_type`.
    SelectorType {
        /// A CSS selector.
        Css => "css",
        /// An XPath 1.0 expression.
        XPath => "xpath",
        /// An element id, without `#`.
        Id => "id",
        /// A class name, without `.`.
        Class => "class",
    }
}

words! {
    /// The column `experiment_elements.element_type`.
    ElementType {
        /// Running text.
        Text => "text",
        /// A button.
        Button => "button",
        /// A headline.
        Headline => "headline",
        /// An image.
        Image => "image",
        /// A link.
        Link => "link",
    }
}

/// One way to find an element.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Selector {
    /// Which language `value` is written in.
    #[serde(rename = "type")]
    pub kind: SelectorType,
    /// The selector itself, 1 to 1,024 characters.
    pub value: String,
}
