//! The published schema against reports, right ones and wrong ones.

#![allow(clippy::unwrap_used)]

use super::*;
use std::path::Path;

/// What the released agent said of a machine, what this version says of a virtual one, and a server with everything.
const REPORTS: [(&str, &str); 3] = [
    ("the released agent's", include_str!("fixtures/released.json")),
    ("a virtual machine's", include_str!("fixtures/virtual.json")),
    ("a server's", include_str!("fixtures/server.json")),
];

#[test]
fn the_published_schema_is_the_one_of_the_program() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/report.schema.json");
    let made = format!("{:#}\n", report_schema());
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&published, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&published).unwrap_or_default();
    assert!(
        kept == made,
        "docs/report.schema.json is not what the program says: run this test with UPDATE_EXPECTED=1, read the difference"
    );
}

#[test]
fn real_reports_are_valid_and_read() {
    let schema = jsonschema::draft202012::new(&report_schema()).unwrap();
    for (what, text) in REPORTS {
        let report: Value = serde_json::from_str(text).unwrap();
        let errors: Vec<_> = schema.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{what}: {errors:#?}");
        crate::translate::read(text.as_bytes()).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn what_the_service_refuses_the_schema_refuses_and_unknown_fields_neither() {
    let schema = jsonschema::draft202012::new(&report_schema()).unwrap();
    let wrong = [
        json!([]),
        json!({ "facts": {} }),
        json!({ "report": 1 }),
        json!({ "report": 2, "facts": {} }),
        json!({ "report": 1, "facts": { "nics": {} } }),
        json!({ "report": 1, "facts": { "cpu": { "threads": "8" } } }),
        json!({ "report": 1, "facts": { "memory": { "usable_bytes": -1 } } }),
        json!({ "report": 1, "facts": {}, "gaps": [{ "path": "system" }] }),
        json!({ "report": 1, "boot": 7, "facts": {} }),
    ];
    for report in wrong {
        assert!(!schema.is_valid(&report), "{report}");
        assert!(crate::translate::read(report.to_string().as_bytes()).is_err(), "{report}");
    }
    let newer = json!({ "report": 1, "later": 1, "facts": { "moons": [1], "cpu": { "colour": "red" } }, "gaps": [{ "path": "p", "reason": "r", "code": 7 }] });
    assert!(schema.is_valid(&newer));
}
