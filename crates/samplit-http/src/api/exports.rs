//! Exports: an experiment as tables, CSV for people and spreadsheets, NDJSON for programs.

use std::str::FromStr;

use bytes::Bytes;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use samplit_engine::{Cell, Error, Export, Row};
use serde_json::Value as Json;
use time::format_description::well_known::Rfc3339;

use crate::{
    call::Call,
    problem::Problem,
    response::{self, Reply},
    slots::Slot,
};

/// What a spreadsheet takes for the beginning of a formula, with the wide forms of some locales.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Ndjson,
}

impl Format {
    const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "csv" => Ok(Self::Csv),
            "ndjson" => Ok(Self::Ndjson),
            _ => Err(format!("`{word}` is not one of `csv`, `ndjson`")),
        }
    }
}

/// `GET /v1/experiments/{id}/export/{assignments|conversions|results|timeline}?format=csv&after=`
pub(crate) async fn export(call: Call, export: Export) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let format = query.word("format").unwrap_or(Format::Csv);
    let after = query.text("after");
    query.finish()?;
    let slot = call.app.export_slot(&who)?;
    let id = call.experiment_id();
    let pages = call.app.engine.export(&who, id, export, after.as_deref());
    let pages = pages
        .await
        .map_err(|error| Problem::from(error).in_query())?;
    let table = Table {
        name: format!("{id}-{}", export.as_str()),
        columns: export.columns(),
        format,
        // What goes on behind a cursor is put behind what is there.
        is_headed: after.is_none(),
    };
    table.send(pages, slot).await
}

/// A table that is sent.
pub(crate) struct Table {
    /// What the file is called, without its extension.
    pub(crate) name: String,
    pub(crate) columns: &'static [&'static str],
    pub(crate) format: Format,
    /// Whether CSV begins with the names of the columns.
    pub(crate) is_headed: bool,
}

impl Table {
    /// Sends the rows as they are read; `slot` is given back behind the last one.
    pub(crate) async fn send(
        self,
        pages: BoxStream<'static, Result<Vec<Row>, Error>>,
        slot: Slot,
    ) -> Result<Reply, Problem> {
        let (columns, format) = (self.columns, self.format);
        let is_headed = format == Format::Csv && self.is_headed;
        let head = is_headed.then(|| csv([columns]));
        let parts = pages.map_ok(move |page| {
            // Until the last row has left.
            let _ = &slot;
            match format {
                Format::Csv => csv(page.into_iter().map(|row| row.into_iter().map(csv_cell))),
                Format::Ndjson => ndjson(columns, page),
            }
        });
        let parts = stream::iter(head.map(Ok)).chain(parts).map_ok(Bytes::from);
        let parts = parts.try_filter(|part| std::future::ready(!part.is_empty()));
        let mut reply = response::stream(format.content_type(), parts).await?;
        let (name, extension) = (self.name, format.extension());
        let name = format!("attachment; filename=\"{name}.{extension}\"");
        let name = HeaderValue::try_from(name).expect("a UUID and words are legal in a header");
        reply.headers_mut().insert(CONTENT_DISPOSITION, name);
        Ok(reply)
    }
}

/// Records by RFC 4180.
fn csv<C: AsRef<[u8]>>(records: impl IntoIterator<Item = impl IntoIterator<Item = C>>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    for record in records {
        let written = writer.write_record(record);
        written.expect("a row has a cell per column, and memory does not fail to be written");
    }
    writer
        .into_inner()
        .expect("memory does not fail to be written")
}

/// A cell of CSV. Text that a spreadsheet would run as a formula, and text that begins like what we make
/// of it, gets an apostrophe in front: so whoever takes away one leading apostrophe of a cell of text has
/// what it was.
fn csv_cell(cell: Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bool(yes) => yes.to_string(),
        Cell::Count(count) => count.to_string(),
        Cell::Number(number) => serde_json::Number::from_f64(number)
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        Cell::Text(text) if text.starts_with(FORMULA) || text.starts_with('\'') => {
            format!("'{text}")
        }
        Cell::Text(text) | Cell::Json(text) => text,
        Cell::Time(at) => at.format(&Rfc3339).unwrap_or_else(|_| at.to_string()),
    }
}

/// An object per line, its keys in the order of the columns.
fn ndjson(columns: &[&str], rows: Vec<Row>) -> Vec<u8> {
    let mut out = String::new();
    for row in rows {
        let cells = columns.iter().zip(row);
        let pairs = cells.map(|(name, cell)| format!("\"{name}\":{}", json_cell(cell)));
        let pairs: Vec<_> = pairs.collect();
        out.push('{');
        out.push_str(&pairs.join(","));
        out.push_str("}\n");
    }
    out.into_bytes()
}

/// A cell as JSON text.
fn json_cell(cell: Cell) -> String {
    let value: Json = match cell {
        Cell::Null => Json::Null,
        Cell::Bool(yes) => yes.into(),
        Cell::Count(count) => count.into(),
        Cell::Number(number) => serde_json::Number::from_f64(number)
            .map_or_else(|| number.to_string().into(), Json::Number),
        Cell::Text(text) => text.into(),
        Cell::Time(_) => csv_cell(cell).into(),
        Cell::Json(json) => return json,
    };
    value.to_string()
}

#[cfg(test)]
mod tests {
    use samplit_engine::Cell;
    use serde_json::{Value as Json, json};

    use super::{csv, csv_cell, ndjson};

    /// What people and programs have put into text, and what people have taken it for.
    const ODD: [&str; 24] = [
        "plain",
        "",
        " ",
        "a,b",
        "\"",
        "\"quoted\"",
        "two\nlines",
        "two\r\nlines",
        "\r",
        "\n=1",
        "\ttab",
        "=1+1",
        "=HYPERLINK(\"http://evil.example\",\"x\")",
        "+1",
        "-1",
        "@SUM(A1)",
        "'",
        "'=1",
        "''",
        "＝1",
        "żółć 漢字 🚀 \u{202e}",
        "null",
        "\\N",
        "a;b\tc|d",
    ];

    #[test]
    fn text_comes_back_and_runs_nowhere() {
        let row = |text: &str| vec![Cell::Text(text.to_owned()), Cell::Count(1)];
        let rows: Vec<_> = ODD.iter().map(|text| row(text)).collect();
        let written = csv(rows.iter().map(|row| row.iter().cloned().map(csv_cell)));
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(written.as_slice());
        let read: Vec<String> = reader
            .records()
            .map(|record| record.unwrap()[0].to_owned())
            .collect();
        let undone = |cell: &String| cell.strip_prefix('\'').unwrap_or(cell).to_owned();
        assert_eq!(read.iter().map(undone).collect::<Vec<_>>(), ODD);
        for cell in read {
            assert!(!cell.starts_with(super::FORMULA), "{cell:?}");
        }
        let lines = ndjson(&["text", "n"], rows);
        let lines = String::from_utf8(lines).unwrap();
        let read = lines.lines().map(|line| {
            let object: Json = serde_json::from_str(line).unwrap();
            assert_eq!(object["n"], 1);
            object["text"].as_str().unwrap().to_owned()
        });
        assert_eq!(read.collect::<Vec<_>>(), ODD);
    }

    #[test]
    fn every_kind_of_cell_has_one_form() {
        let at = time::macros::datetime!(2026-01-02 03:04:05.000006 UTC);
        for (cell, in_csv, in_json) in [
            (Cell::Null, "", Json::Null),
            (Cell::Bool(true), "true", json!(true)),
            (
                Cell::Count(u64::MAX),
                "18446744073709551615",
                json!(u64::MAX),
            ),
            (Cell::Number(-0.1), "-0.1", json!(-0.1)),
            (Cell::Number(1e300), "1e+300", json!(1e300)),
            (Cell::Number(f64::NAN), "NaN", json!("NaN")),
            (Cell::Number(f64::INFINITY), "inf", json!("inf")),
            (
                Cell::Time(at),
                "2026-01-02T03:04:05.000006Z",
                json!("2026-01-02T03:04:05.000006Z"),
            ),
            (
                Cell::Json("{\"a\": [1]}".to_owned()),
                "{\"a\": [1]}",
                json!({"a": [1]}),
            ),
        ] {
            let lines = ndjson(&["cell"], vec![vec![cell.clone()]]);
            let object: Json = serde_json::from_slice(&lines).unwrap();
            assert_eq!(object["cell"], in_json, "{cell:?}");
            assert_eq!(csv_cell(cell), in_csv);
        }
    }
}
