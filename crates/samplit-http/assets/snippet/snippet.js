// Stands in for the snippet: it only knows its settings.
(() => { window.samplitSettings = __SAMPLIT_SETTINGS__; })();
