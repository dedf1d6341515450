//! How data is laid out: tables, JSON, and templates in the manner of Docker.

use serde::Serialize;
use serde_json::Value;

pub(super) use crate::commands::words::{ago, human_bytes};

use crate::cli::{CliError, Kind, Result};

/// What `--format` asks for.
#[derive(Debug, Clone)]
pub(super) enum Format {
    /// Columns under headings.
    Table,
    /// JSON.
    Json,
    /// A line made from a template.
    Template(Template),
}

/// Text with fields in it: `{{.Field}}`, `{{.Field.key}}`, and `{{json .Field}}` for a field as JSON;
/// `{{json .}}` is everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Vec<String>),
    Json(Vec<String>),
}

impl Format {
    /// Parses the option's value.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ if text.contains("{{") => Template::parse(text).map(Self::Template),
            _ => Err("a format is table, json, or a template with {{.Field}} in it".to_owned()),
        }
    }
}

impl Template {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (action, after) = after.split_once("}}").ok_or("{{ without }}")?;
            pieces.push(Piece::Text(unescape(before)));
            pieces.push(parse_action(action.trim())?);
            rest = after;
        }
        pieces.push(Piece::Text(unescape(rest)));
        Ok(Self(pieces))
    }

    /// Fills in the fields.
    pub(super) fn render(&self, object: &impl Serialize) -> Result<String> {
        let object = serde_json::to_value(object).map_err(cannot_encode)?;
        self.0
            .iter()
            .map(|piece| render_piece(piece, &object))
            .collect()
    }
}

fn parse_action(action: &str) -> std::result::Result<Piece, String> {
    let (make, path): (fn(Vec<String>) -> Piece, &str) = match action.strip_prefix("json ") {
        Some(path) => (Piece::Json, path.trim()),
        None => (Piece::Field, action),
    };
    let bad =
        || format!("{{{{{action}}}}} is not understood; use {{{{.Field}}}} or {{{{json .Field}}}}");
    let path = path.strip_prefix('.').ok_or_else(bad)?;
    if path.contains(char::is_whitespace) {
        return Err(bad());
    }
    let steps = path.split('.').filter(|step| !step.is_empty());
    Ok(make(steps.map(str::to_owned).collect()))
}

fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn render_piece(piece: &Piece, object: &Value) -> Result<String> {
    match piece {
        Piece::Text(text) => Ok(text.clone()),
        Piece::Json(path) => Ok(find(path, object)?.to_string()),
        Piece::Field(path) => Ok(plain(find(path, object)?)),
    }
}

/// Follows a path. Only the first step must be a field that exists: below it are the user's labels.
fn find<'a>(path: &[String], object: &'a Value) -> Result<&'a Value> {
    let Some((field, keys)) = path.split_first() else {
        return Ok(object);
    };
    let value = object
        .get(field)
        .ok_or_else(|| unknown_field(field, object))?;
    // Label keys may contain dots themselves.
    let whole = (!keys.is_empty())
        .then(|| value.get(keys.join(".")))
        .flatten();
    let step_by_step = || keys.iter().try_fold(value, |value, key| value.get(key));
    Ok(whole.or_else(step_by_step).unwrap_or(&Value::Null))
}

fn unknown_field(field: &str, object: &Value) -> CliError {
    let known: Vec<&str> = object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, _)| k.as_str())
        .collect();
    CliError::new(Kind::Usage, format!("there is no field \"{field}\""))
        .hint(format!("use one of {}", known.join(", ")))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Object(fields) => {
            let pairs = fields
                .iter()
                .map(|(key, value)| format!("{key}={}", plain(value)));
            pairs.collect::<Vec<_>>().join(",")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// One line of JSON.
pub(super) fn json(object: &impl Serialize) -> Result<String> {
    serde_json::to_string(object).map_err(cannot_encode)
}

/// JSON for reading.
pub(super) fn pretty_json(object: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(object).map_err(cannot_encode)
}

fn cannot_encode(error: serde_json::Error) -> CliError {
    CliError::new(Kind::Failed, "cannot write JSON").because(error)
}

/// Lays rows, which are equally long, out in columns, two spaces apart or more.
pub(super) fn columns(rows: &[impl AsRef<[String]>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(row.as_ref().len(), 0);
        for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.as_ref().iter().zip(&widths);
        let cells: Vec<String> = cells.map(|(cell, &w)| format!("{cell:w$}")).collect();
        text.push_str(cells.join("   ").trim_end());
        text.push('\n');
    }
    text
}

/// An RFC 3339 time without the fraction of its seconds.
pub(super) fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> Result<String> {
        let object = serde_json::json!({
            "Name": "db", "Size": 7, "Labels": {"a": "1", "x.y": "2"}, "Mountpoints": ["/m", "/n"],
        });
        Template::parse(template).unwrap().render(&object)
    }

    #[test]
    fn templates_fill_in_fields() {
        let line =
            render("{{.Name}}\\t{{ .Labels.a }} {{.Labels.x.y}}{{.Labels.no}} {{.Mountpoints}}");
        assert_eq!(line.unwrap(), "db\t1 2 /m,/n");
        assert_eq!(
            render("{{json .Labels}}").unwrap(),
            r#"{"a":"1","x.y":"2"}"#
        );
        assert_eq!(render("{{json .Size}}").unwrap(), "7");
        let error = render("{{.Nmae}}").unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains("Name"));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in ["{{.Name", "{{Name}}", "{{range .}}", "csv"] {
            assert!(Format::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["A", "B"], ["long", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "A      B\nlong   x\n");
    }
}
