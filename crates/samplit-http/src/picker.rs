//! The picker: what the snippet loads onto a page that was opened by a link of the editor. It is put
//! together from `assets/picker`.

use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};

use crate::response::{Reply, content};

const SCRIPT: &str = concat!(
    "\"use strict\";\n(() => {\n",
    include_str!("../assets/picker/selectors.js"),
    include_str!("../assets/picker/changes.js"),
    include_str!("../assets/picker/server.js"),
    include_str!("../assets/picker/style.js"),
    include_str!("../assets/picker/frame.js"),
    include_str!("../assets/picker/panel.js"),
    include_str!("../assets/picker/start.js"),
    "})();\n",
);

/// `GET /assets/picker.js`
pub(crate) fn script() -> Reply {
    let mut reply = content("text/javascript; charset=utf-8", SCRIPT);
    let headers = reply.headers_mut();
    let fresh = HeaderValue::from_static("public, max-age=60");
    headers.insert(CACHE_CONTROL, fresh);
    // Pages of other sites load it.
    let anybody = HeaderValue::from_static("cross-origin");
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, anybody);
    reply
}
