//! Why a machine got what it got, and who holds which address.

use super::extract::{Asked, Segment};
use super::views::{BootView, Explanation, LeasePage, LeaseView, NodeView, ProblemView};
use super::{Answer, Api, limit, nodes, refuse, store_problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use domain::MacAddr;
use domain::lease::Lease;
use domain::timeline::printable;
use inventory::problem::Problem;
use serde::Deserialize;
use std::net::Ipv4Addr;
use utoipa::IntoParams;

/// The most boots of one explanation.
const MOST_BOOTS: usize = 20;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainQuery {
    /// How many boots at most, 1 to 20; 1 if absent.
    #[param(minimum = 1, maximum = 20)]
    boots: Option<usize>,
}

/// Explains the last boots of a machine, known to the inventory or not.
#[utoipa::path(get, path = "/api/v1/explain/{machine}", operation_id = "explain", tag = "boots",
    params(("machine" = String, Path, description = "MAC address, or what names a node"), ExplainQuery),
    responses(
        (status = 200, description = "its boots, newest first", body = Explanation),
        (status = 400, description = "`boots` is wrong", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "nothing was ever heard of it", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "several nodes fit", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn explain(State(api): State<Api>, Segment(machine): Segment, Asked(query): Asked<ExplainQuery>) -> Answer<Explanation> {
    let most = limit("boots", query.boots.unwrap_or(1), MOST_BOOTS)?;
    let asked: Option<MacAddr> = machine.trim().parse().ok();
    let node = match nodes::find(&api, &machine) {
        Ok(node) => Some(node),
        Err(problem) if problem.status == StatusCode::NOT_FOUND => None,
        // Two machines with one MAC address are just what somebody asks about.
        Err(problem) if asked.is_some() && problem.status == StatusCode::CONFLICT => None,
        Err(problem) => return Err(problem),
    };
    let macs: Vec<MacAddr> = match (asked, &node) {
        (Some(mac), _) => vec![mac],
        (None, Some(node)) => node.identity.macs.iter().copied().collect(),
        (None, None) => {
            let detail = format!(
                "`{}` is neither a MAC address nor a node: `overture nodes list` shows the nodes, and any machine that was heard can be asked for by its MAC address",
                printable(&machine, 60)
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, "no_such_machine", "No such machine", detail));
        }
    };
    let timelines = api.store.timelines(&macs, most).await.map_err(|error| store_problem(&error))?;
    if timelines.is_empty() && node.is_none() {
        return Err(never_heard(&machine));
    }
    Ok(Json(Explanation {
        machine,
        node: node.as_ref().map(|node| NodeView::of(node, &api.layout())),
        macs: macs.iter().map(ToString::to_string).collect(),
        boots: timelines.iter().map(BootView::from).collect(),
    }))
}

fn never_heard(machine: &str) -> Problem {
    let detail = format!(
        "nothing was heard from {}. Check that it is switched on and starts from the network, that its cable and VLAN lead to an \
         interface of the site (`overture site show`), and that the network does not say unknown = \"ignore\" for it",
        printable(machine, 60)
    );
    Problem::new(StatusCode::NOT_FOUND, "never_heard", "Never heard of", detail)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LeaseQuery {
    /// How many leases at most, 1 to 1000; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists leases by network and address, the expired ones too.
#[utoipa::path(get, path = "/api/v1/leases", operation_id = "list_leases", tag = "boots", params(LeaseQuery),
    responses(
        (status = 200, description = "a page of leases", body = LeasePage),
        (status = 400, description = "`limit` or `cursor` is wrong", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn leases(State(api): State<Api>, Asked(query): Asked<LeaseQuery>) -> Answer<LeasePage> {
    let most = limit("limit", query.limit.unwrap_or(100), super::MOST_LISTED)?;
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let now = api.clock.now();
    let mut leases: Vec<Lease> =
        api.leases.table().all().filter(|lease| after.as_ref().is_none_or(|after| place(lease) > *after)).cloned().collect();
    leases.sort_by_cached_key(place);
    let more = leases.len() > most;
    leases.truncate(most);
    let next_cursor = leases.last().filter(|_| more).map(|lease| format!("{},{}", lease.network, lease.address));
    Ok(Json(LeasePage { items: leases.iter().map(|lease| LeaseView::of(lease, now)).collect(), next_cursor }))
}

/// Where a lease stands in the list.
fn place(lease: &Lease) -> (String, Ipv4Addr) {
    (lease.network.clone(), lease.address)
}

fn read_cursor(text: &str) -> Result<(String, Ipv4Addr), Problem> {
    let parts = text.rsplit_once(',').and_then(|(network, address)| Some((network.to_owned(), address.parse().ok()?)));
    parts.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "bad_cursor", super::BAD_CURSOR))
}
