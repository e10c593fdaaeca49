//! Programs that visit pages and say what they are, such as search engines.
//!
//! The list is a public one, kept by others; `assets/bots` says which and how it is renewed. A bot
//! that calls itself a browser is not on any list.

use std::sync::LazyLock;

use regex::bytes::{RegexSet, RegexSetBuilder};

/// How much of what a browser says it is, is looked at, in bytes.
const LOOKED_AT: usize = 1_024;

static BOTS: LazyLock<RegexSet> = LazyLock::new(|| {
    let patterns = include_str!("../assets/bots/patterns.txt").lines();
    let set = RegexSetBuilder::new(patterns).unicode(false).build();
    set.expect("the patterns are part of the program, and a test compiles them")
});

/// Whether a program says that it is none that people look at pages with.
pub(crate) fn is_bot(user_agent: &str) -> bool {
    let bytes = user_agent.as_bytes();
    BOTS.is_match(&bytes[..bytes.len().min(LOOKED_AT)])
}

#[cfg(test)]
mod tests {
    use super::is_bot;

    #[test]
    fn bots_are_told_from_browsers() {
        for bot in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "facebookexternalhit/1.1",
            "curl/8.5.0",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
             HeadlessChrome/130.0.0.0 Safari/537.36",
            "Mozilla/5.0 (compatible; GPTBot/1.1; +https://openai.com/gptbot)",
        ] {
            assert!(is_bot(bot), "{bot}");
        }
        for browser in [
            "",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             Version/18.0 Safari/605.1.15",
            "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
             Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) \
             SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
             Gecko) Mobile/15E148 Instagram 340.0.0.22.109",
        ] {
            assert!(!is_bot(browser), "{browser}");
        }
        let late = format!("{} Googlebot/2.1", "\u{f1}".repeat(1_000));
        assert!(!is_bot(&late), "only the beginning counts");
    }
}
