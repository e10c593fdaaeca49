//! The HTTP face of Samplit: hyper, routes, problem+json, pages.
