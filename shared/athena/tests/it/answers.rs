//! Responses of Athena and S3 in their own format.

use serde_json::{Value, json};

use aws_client::scripted_http::Answer;

/// A response of GetQueryExecution: a successful query, with the members in `parts` replaced.
pub(crate) fn execution(parts: Value) -> Answer {
    let mut execution = json!({
        "QueryExecutionId": "q1",
        "Query": "SELECT 1",
        "StatementType": "DML",
        "ResultConfiguration": {"OutputLocation": "s3://results/athena-results/q1.csv"},
        "Status": {"State": "SUCCEEDED"},
        "Statistics": {"EngineExecutionTimeInMillis": 20, "DataScannedInBytes": 0},
    });
    for (key, value) in parts.as_object().unwrap() {
        execution[key] = value.clone();
    }
    Answer::Good(json!({"QueryExecution": execution}))
}

/// An error with the service's code and message.
pub(crate) fn refused(code: &str, message: &str) -> Answer {
    Answer::Refused(400, json!({"__type": code, "message": message}))
}

/// A page of results: the name and type of each column, and rows of texts or NULL.
pub(crate) fn page(
    columns: &[(&str, &str)],
    rows: &[&[Option<&str>]],
    next: Option<&str>,
) -> Answer {
    let column = |(name, kind): &(&str, &str)| json!({"Name": name, "Label": name, "Type": kind});
    let datum = |value: &Option<&str>| match value {
        Some(text) => json!({"VarCharValue": text}),
        None => json!({}),
    };
    let row =
        |row: &&[Option<&str>]| json!({"Data": row.iter().map(datum).collect::<Vec<Value>>()});
    let mut answer = json!({"ResultSet": {
        "ResultSetMetadata": {"ColumnInfo": columns.iter().map(column).collect::<Vec<Value>>()},
        "Rows": rows.iter().map(row).collect::<Vec<Value>>(),
    }});
    if let Some(token) = next {
        answer["NextToken"] = json!(token);
    }
    Answer::Good(answer)
}

/// A whole object.
pub(crate) fn object(text: &str) -> Answer {
    Answer::Object(200, text.len(), text.as_bytes().to_vec())
}

/// A response of S3 in XML.
pub(crate) fn xml(status: u16, text: &str) -> Answer {
    Answer::Object(status, text.len(), text.as_bytes().to_vec())
}

/// An error of S3.
pub(crate) fn s3_refusal(status: u16, code: &str) -> Answer {
    xml(
        status,
        &format!("<Error><Code>{code}</Code><Message>the test says so</Message></Error>"),
    )
}
