//! What the service says of itself: the description of its API, its counters, its health.

use crate::service::{Known, Service, node, report};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn document() -> Value {
    serde_json::from_str(overture::api::openapi()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().clone();
        methods
            .into_iter()
            .map({
                let path = path.clone();
                move |(method, operation)| (method.to_uppercase(), path.clone(), operation)
            })
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn the_description_is_openapi_3_1_with_nothing_dangling() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{what} has no summary");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{what}: its operationId is another's");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let named = |place: &str| -> BTreeSet<String> {
            parameters.iter().filter(|p| p["in"] == place).map(|p| p["name"].as_str().unwrap().to_owned()).collect()
        };
        let segments: BTreeSet<String> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(str::to_owned).collect();
        assert_eq!(named("path"), segments, "{what}");
        assert!(parameters.iter().all(|p| (p["in"] != "path" || p["required"] == true) && p["schema"].is_object()), "{what}");
        assert_eq!(named("header").contains("Idempotency-Key"), method != "GET", "{what}: every write takes a key");
        let bodiless = ["GET", "DELETE"].contains(&method.as_str()) || operation["operationId"] == "resume_store";
        assert_eq!(operation["requestBody"].is_object(), !bodiless, "{what}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{what} {status} is not described");
            let kinds: Vec<_> = response["content"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(kinds == ["application/problem+json"], status.starts_with(['4', '5']), "{what} {status}: {kinds:?}");
        }
    }
    let mut wanted = BTreeSet::new();
    references(&document, &mut wanted);
    let schemas: BTreeSet<_> = document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(wanted, schemas, "schemas that are referred to, and those that are there");
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                found.insert(reference.strip_prefix("#/components/schemas/").unwrap().to_owned());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_service_and_the_command_line_print_the_same_description() {
    let service = Service::start();
    let served = service.get("/openapi.json");
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(String::from_utf8(service.overture(&["openapi"]).stdout).unwrap(), served.text());
}

/// Routes are registered from what describes them, so none can be missing there; the other way round is asked here.
#[test]
fn every_described_operation_is_served_and_answers_as_described() {
    let mut able = Known::from(node(1));
    able.document.facts["agent"] = json!({"can": ["test"]});
    let service = Service::with_nodes([able, node(2).into()]);
    assert_eq!(service.apply("[site]\nname = \"one\"\n").status, 201);
    let document = document();
    let bodies: BTreeMap<&str, Value> = BTreeMap::from([
        ("change_node", json!({"name": "w1"})),
        ("order_node", json!({"order": "wait"})),
        ("test_node", json!({"cpu": true, "seconds": 60})),
        ("import_report", report(3)),
        ("apply_site", json!({"files": {"site.toml": "[site]\nname = \"one\"\n"}})),
    ]);
    let queries = BTreeMap::from([("inventory_differences", "?since=7d"), ("export_nodes", "?format=csv")]);
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        // Those need a Postgres to move to: tests/db.rs.
        if ["migrate_store", "show_operation"].contains(&id) {
            continue;
        }
        // One is there to be forgotten.
        let machine = if method == "DELETE" { "VM-0002" } else { "VM-0001" };
        let url = path.replace("{node}", machine).replace("{machine}", machine) + queries.get(id).unwrap_or(&"");
        let body = bodies.get(id).map(Value::to_string).unwrap_or_default();
        let answer = service.ask(&method, &url, &[], body.as_bytes());
        let response = &operation["responses"][answer.status.to_string()];
        assert!(answer.status < 300 && response.is_object(), "{method} {path}: {} {}", answer.status, answer.text());
        let (kind, content) = response["content"].as_object().unwrap().iter().next().unwrap();
        assert!(answer.header("content-type").unwrap().starts_with(kind.as_str()), "{method} {path}: {:?}", answer.headers);
        if let Some(reference) = content["schema"]["$ref"].as_str() {
            fits(&document, &json!({ "$ref": reference }), &answer.json(), &format!("{method} {path}"));
        }
    }
}

/// Whether a value has what its schema requires and nothing that the schema does not know.
fn fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    let (required, properties) = object(document, schema);
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        values.iter().for_each(|value| fits(document, items, value, &format!("{place}[]")));
    }
    let Some(fields) = value.as_object().filter(|_| !properties.is_empty()) else { return };
    for name in required {
        assert!(fields.contains_key(&name), "{place} lacks {name}: {value}");
    }
    for (name, value) in fields {
        let schema = properties.get(name).unwrap_or_else(|| panic!("{place}.{name} is not described"));
        if !value.is_null() {
            fits(document, schema, value, &format!("{place}.{name}"));
        }
    }
}

fn object(document: &Value, schema: &Value) -> (Vec<String>, BTreeMap<String, Value>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return object(document, &document["components"]["schemas"][reference.rsplit('/').next().unwrap()]);
    }
    let mut required: Vec<String> =
        schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect();
    let mut properties: BTreeMap<_, _> = schema["properties"].as_object().cloned().unwrap_or_default().into_iter().collect();
    for part in ["allOf", "oneOf"].into_iter().flat_map(|key| schema[key].as_array().cloned().unwrap_or_default()) {
        let (more_required, more_properties) = object(document, &part);
        required.extend(more_required);
        properties.extend(more_properties);
    }
    (required, properties)
}

#[test]
fn health_is_plain_text() {
    let service = Service::start();
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = service.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, text));
    }
}

/// OpenMetrics 1.0, the parts of its grammar that this text uses: families in one piece, each with its type and help
/// before its samples, counters that end in `_total`, quoted labels, one `# EOF`, nothing twice.
#[test]
fn the_counters_are_openmetrics() {
    let service = Service::with_nodes([node(1)]);
    let answer = service.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = answer.text();
    let lines = text.strip_suffix("# EOF\n").unwrap();
    assert!(!lines.contains("# EOF") && !lines.contains("\n\n") && text.is_ascii());
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut family, mut helped, mut samples) = ("", BTreeSet::new(), BTreeSet::new());
    for line in lines.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.') && helped.insert(name), "{line}");
            assert!(!types.contains_key(name), "a family is in one piece: {line}");
            family = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(name == family && is_name(name) && name.starts_with("overture_"), "{line}");
            assert!(["counter", "gauge"].contains(&kind) && types.insert(name, kind).is_none(), "{line}");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            let suffix = if types[family] == "counter" { "_total" } else { "" };
            assert_eq!(name, format!("{family}{suffix}"), "{line}");
            value.parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
            for label in labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once('=').unwrap();
                let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
                assert!(is_name(name) && !inner.contains(['"', '\\', '\n']), "{line}");
            }
            assert!(samples.insert(sample), "twice: {line}");
        }
    }
    assert_eq!(types["overture_leases"], "gauge");
    assert!(samples.contains("overture_store_events_total{reason=\"commits\"}"), "{text}");
}
