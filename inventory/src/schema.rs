//! The published form of a report, made from the structs that read it.

use inventory_wire::{Report, VERSION};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The JSON Schema (2020-12) of a report. `docs/report.schema.json` is this, kept up to date by a test.
pub fn report_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Report>().to_value();
    schema["$id"] = json!(format!("urn:overture:report:{VERSION}"));
    schema["properties"]["report"] = json!({
        "description": "The version of the document.",
        "const": VERSION,
    });
    schema.sort_all_objects();
    schema
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
