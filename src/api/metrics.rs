//! `/metrics`, in OpenMetrics text.

use super::Api;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;

/// What is counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "service",
    responses((status = 200, description = "OpenMetrics 1.0", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8")))]
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let mut registry = Registry::with_prefix("overture");
    let mut families: BTreeMap<&'static str, Family<Vec<(String, String)>, Counter>> = BTreeMap::new();
    for counter in (api.counters)() {
        let mut labels = vec![("reason".to_owned(), counter.reason.to_owned())];
        if !counter.network.is_empty() {
            labels.push(("network".to_owned(), counter.network));
        }
        families.entry(counter.family).or_default().get_or_create(&labels).inc_by(counter.value);
    }
    for (name, family) in families {
        registry.register(name, format!("Counted since the start: {}, by reason", name.replace('_', " ")), family);
    }
    let leases: Gauge = Gauge::default();
    let now = api.clock.now();
    let held = api.leases.table().all().filter(|lease| lease.state == domain::lease::LeaseState::Bound && lease.expires > now).count();
    leases.set(i64::try_from(held).unwrap_or(i64::MAX));
    registry.register("leases", "Leases held now", leases);
    let watching: Gauge = Gauge::default();
    watching.set(i64::from(api.watching.borrow().is_some()));
    registry.register("only_watching", "1 while the service only watches, because its store was restored", watching);
    let mut text = String::new();
    let _ = encode(&mut text, &registry);
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
