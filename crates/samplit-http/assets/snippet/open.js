// The snippet is one function, closed by start.js. Whatever fails in it, the page is shown.
(() => {
"use strict";
const early = window.samplit ?? {};
if (early.variants) return;
try {
const settings = __SAMPLIT_SETTINGS__;
